"""Test cases: the items of a dataset, checked against its schema type."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uuid_utils

from assay.core.datasets import Dataset, DatasetItem, content_hash
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.files import named_files
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.dataset_versions import found_dataset, opened, version_at, writable_dataset
from assay.services.files import require_named

Loc = tuple[str | int, ...]
_KNOWN = frozenset({"input", "expected_output", "expected_extra_info", "artifact_ids_filter"})
MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class NewTestCase:
    """A test case to make: its data as it came, and what goes beside it."""

    data: Mapping[str, Any]
    chat_history: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def extra(self) -> dict[str, Any] | None:
        """What is stored beside the row; None for nothing."""
        given = {"chat_history": self.chat_history, "test_case_metadata": self.metadata}
        return {name: value for name, value in given.items() if value is not None} or None


@dataclass(frozen=True, slots=True)
class DatasetCases:
    """Test cases and the dataset that they are of."""

    dataset: Dataset
    cases: Slice[DatasetItem]


class TestCases:
    """The use cases of test cases. Each change is one transaction that reads, decides and writes."""

    __test__ = False

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, dataset_id: str, new: Sequence[NewTestCase], *, loc: bool) -> DatasetCases:
        """Add test cases to the working set, in order. `loc`: problems name the place in a list.

        Raises InvalidInput for data that the dataset's schema type cannot have, RuleViolation when archived or for
        a file that is not in the account.
        """
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            places: list[Loc] = [("body", index) if loc else ("body",) for index in range(len(new))]
            _check_all(dataset, new, places)
            await _check_files(work, dataset, new, places)
            if not new:
                return DatasetCases(dataset, Slice([], 0))
            now = self._clock.now()
            dataset = await opened(work, dataset, now)
            rows = [stored_row(dataset, each.data) for each in new]
            items = [
                DatasetItem(
                    id=str(uuid_utils.uuid7()),
                    seq=0,
                    dataset_id=dataset.id,
                    data=row,
                    files=None,
                    content_hash=content_hash(row, None),
                    start_version=dataset.current_version_num,
                    end_version=None,
                    created_at=now,
                    updated_at=now,
                    created_by=caller.identity,
                    extra=each.extra,
                )
                for row, each in zip(rows, new, strict=True)
            ]
            await work.dataset_items.add(dataset, items)
        return DatasetCases(dataset, Slice(items, len(items)))

    async def list(
        self,
        caller: Caller,
        dataset_id: str,
        page: NumberedPage,
        *,
        version: int | None = None,
        include_archived: bool = False,
    ) -> DatasetCases:
        """A page of a dataset's test cases as they are, or as they were in a version. Raises NotFound."""
        async with self._storage.read() as work:
            dataset = await found_dataset(work, caller, dataset_id)
            if version is not None:
                await _check_version(work, dataset, version)
            shown = include_archived or dataset.archived_at is not None
            cases = await work.test_cases.list(dataset.id, page, version=version, include_archived=shown)
        return DatasetCases(dataset, cases)

    async def get(
        self, caller: Caller, dataset_id: str, case_id: str, *, version: int | None = None
    ) -> tuple[Dataset, DatasetItem]:
        """A test case as it is, deleted ones too, or as it was in a version. Raises NotFound."""
        async with self._storage.read() as work:
            dataset = await found_dataset(work, caller, dataset_id)
            if version is not None:
                await _check_version(work, dataset, version)
            return dataset, await _found(work, dataset, case_id, version)

    async def update(
        self, caller: Caller, dataset_id: str, case_id: str, changes: Mapping[str, Any]
    ) -> tuple[Dataset, DatasetItem]:
        """Change `test_case_data` (as a whole), `chat_history` or `test_case_metadata`, those that `changes` has.

        RuleViolation when the test case or its dataset is archived, or for a file that is not in the account.
        """
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            item = await _found(work, dataset, case_id, None)
            if item.end_version is not None:
                raise RuleViolation(f"test case {case_id} is archived; restore it first")
            if not changes:
                return dataset, item
            extra = {key: value for key, value in changes.items() if key != "test_case_data"}
            merged = {key: value for key, value in {**(item.extra or {}), **extra}.items() if value is not None}
            data = item.data
            if "test_case_data" in changes:
                changed = [NewTestCase(changes["test_case_data"])]
                _check_all(dataset, changed, [("body",)])
                await _check_files(work, dataset, changed, [("body",)])
                data = stored_row(dataset, changes["test_case_data"])
            return await self._revised(work, dataset, replace(item, data=data, extra=merged or None), close=True)

    async def delete(self, caller: Caller, dataset_id: str, case_id: str) -> int:
        """Take a test case out of the working set; versions keep it. Returns 1, or 0 when it was out already."""
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            item = await _found(work, dataset, case_id, None)
            if item.end_version is not None:
                return 0
            now = self._clock.now()
            dataset = await opened(work, dataset, now)
            await work.dataset_items.close_versions(dataset.id, [item.id], dataset.current_version_num, removed_at=now)
        return 1

    async def restore(self, caller: Caller, dataset_id: str, case_id: str) -> tuple[Dataset, DatasetItem]:
        """Put a deleted test case back as it was; changes nothing when it is there."""
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            item = await _found(work, dataset, case_id, None)
            if item.end_version is None:
                return dataset, item
            return await self._revised(work, dataset, item, close=False)

    async def purge(self, caller: Caller, dataset_id: str, case_id: str) -> int:
        """Remove a test case from every version, for good. Returns 1."""
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            await work.test_cases.purge(await _found(work, dataset, case_id, None))
        return 1

    async def _revised(
        self, work: UnitOfWork, dataset: Dataset, item: DatasetItem, *, close: bool
    ) -> tuple[Dataset, DatasetItem]:
        now = self._clock.now()
        dataset = await opened(work, dataset, now)
        num = dataset.current_version_num
        if close:
            await work.dataset_items.close_versions(dataset.id, [item.id], num, at=now)
        revised = replace(
            item,
            content_hash=content_hash(item.data, item.files),
            start_version=num,
            end_version=None,
            ended_at=None,
            archived_at=None,
            updated_at=now,
        )
        await work.dataset_items.add(dataset, [revised])
        return dataset, revised


async def _check_version(work: UnitOfWork, dataset: Dataset, num: int) -> None:
    if await version_at(work, dataset, num) is None:
        raise NotFound(f"version of evaluation dataset {dataset.id}", str(num))


async def _found(work: UnitOfWork, dataset: Dataset, case_id: str, version: int | None) -> DatasetItem:
    item = await work.dataset_items.get(dataset.account_id, case_id, version=version, include_archived=True)
    if item is None or item.dataset_id != dataset.id:
        raise NotFound("test case", case_id)
    return item


def stored_row(dataset: Dataset, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of a test case's data: the data itself, but what `case_data` wraps it unwraps."""
    if dataset.schema_type is None and data.keys() == {"input"} and isinstance(data["input"], dict) and data["input"]:
        unwrapped: dict[str, Any] = data["input"]
        return unwrapped
    return data


def case_data(dataset: Dataset, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row as a test case's data. A row that is no such data, as version 5's may be, is the input as a whole."""
    if dataset.schema_type is None and (row.keys() - _KNOWN or next(_problems("FLEXIBLE", row, ()), None)):
        return {"input": row}
    return row


def _check_all(dataset: Dataset, new: Sequence[NewTestCase], places: Sequence[Loc]) -> None:
    problems: list[Problem] = []
    for each, place in zip(new, places, strict=True):
        problems.extend(_problems(dataset.schema_type or "FLEXIBLE", each.data, (*place, "test_case_data")))
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise InvalidInput(problems)


async def _check_files(work: UnitOfWork, dataset: Dataset, new: Sequence[NewTestCase], places: Sequence[Loc]) -> None:
    named: dict[str, str] = {}
    for each, place in zip(new, places, strict=True):
        for part in ("input", "expected_output"):
            for key, file_id in named_files(each.data.get(part)):
                named.setdefault(file_id, ".".join(map(str, (*place[1:], "test_case_data", part, key[:100]))))
    await require_named(work, dataset.account_id, named)


def _problems(schema_type: str, data: Mapping[str, Any], loc: Loc) -> Iterator[Problem]:
    """What is wrong with a test case's data."""
    flexible = schema_type == "FLEXIBLE"
    kinds: tuple[type, ...] = (str, dict) if flexible else (str,)
    words = "text or an object" if flexible else "text, for the dataset is of the type GENERATION"
    if "input" not in data:
        yield Problem((*loc, "input"), "is needed", "missing")
    elif not isinstance(data["input"], kinds):
        yield Problem((*loc, "input"), f"must be {words}", "type", data["input"])
    expected = data.get("expected_output")
    if expected is not None and not isinstance(expected, kinds):
        yield Problem((*loc, "expected_output"), f"must be {words}", "type", expected)
    yield from extra_info_problems(data.get("expected_extra_info"), (*loc, "expected_extra_info"))
    artifacts = data.get("artifact_ids_filter")
    if artifacts is not None and not (isinstance(artifacts, list) and all(isinstance(each, str) for each in artifacts)):
        yield Problem((*loc, "artifact_ids_filter"), "must be a list of ids", "list_type")


def extra_info_problems(info: Any, loc: Loc) -> Iterator[Problem]:
    """What is wrong with an extra info: null, `{schema_type: STRING, info}` or `{schema_type: CHUNKS, chunks}`."""
    if info is None:
        return
    if not isinstance(info, dict) or info.get("schema_type") not in ("STRING", "CHUNKS"):
        yield Problem((*loc, "schema_type"), "must be STRING or CHUNKS", "enum")
    elif info["schema_type"] == "STRING" and not isinstance(info.get("info"), str):
        yield Problem((*loc, "info"), "must be text", "string_type")
    elif info["schema_type"] == "CHUNKS" and not (
        isinstance(info.get("chunks"), list)
        and all(isinstance(each, dict) and isinstance(each.get("text"), str) for each in info["chunks"])
    ):
        yield Problem((*loc, "chunks"), "must be a list of objects with a text", "list_type")
