"""Evaluation items: reading them with their results, and the columns that they have."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.core.errors import NotFound
from assay.core.evaluations import Evaluation, Item
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.core.results import ResultStatus
from assay.ports.storage import ColumnSchema, Storage

SAMPLE_SIZE = 10_000
"""Items that are looked at for the columns of an evaluation."""


@dataclass(frozen=True, slots=True)
class EvaluationColumns:
    """The columns of an evaluation's items by name, as seen on the first `sample_size` of `total_items`."""

    columns: tuple[ColumnSchema, ...]
    total_items: int
    sample_size: int

    @property
    def is_sampled(self) -> bool:
        """Whether some items were not looked at."""
        return self.sample_size < self.total_items


class Items:
    """The use cases of evaluation items."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list(
        self,
        caller: Caller,
        page: PageRequest,
        *,
        evaluation_id: str | None = None,
        completion: Literal["failed", "passed"] | None = None,
        include_archived: bool = False,
    ) -> tuple[Page[Item], Mapping[str, Evaluation]]:
        """A page of items with their results, and the evaluations that they belong to, by id.

        Raises NotFound for an unknown evaluation, archived ones among them unless they are asked for.
        """
        async with self._storage.read() as unit:
            if evaluation_id is not None:
                evaluation = await unit.evaluations.get(
                    caller.account_id, evaluation_id, include_archived=include_archived
                )
                if evaluation is None:
                    raise NotFound("evaluation", evaluation_id)
                evaluations = {evaluation_id: evaluation}
            found = await unit.items.list(
                caller.account_id,
                page,
                evaluation_id=evaluation_id,
                completion=completion,
                include_archived=include_archived,
            )
            if evaluation_id is None:
                ids = list(dict.fromkeys(item.evaluation_id for item in found.items))
                evaluations = dict(await unit.evaluations.get_many(caller.account_id, ids))
                for missing in [each for each in ids if each not in evaluations]:
                    archived = await unit.evaluations.get(caller.account_id, missing, include_archived=True)
                    if archived is not None:
                        evaluations[missing] = archived
        return found, evaluations

    async def get(self, caller: Caller, item_id: str, *, include_archived: bool = False) -> tuple[Item, Evaluation]:
        """One item with its results, and its evaluation. Raises NotFound."""
        async with self._storage.read() as unit:
            item = await unit.items.get(caller.account_id, item_id, include_archived=include_archived)
            evaluation = None
            if item is not None:
                evaluation = await unit.evaluations.get(caller.account_id, item.evaluation_id, include_archived=True)
        if item is None or evaluation is None:
            raise NotFound("evaluation item", item_id)
        return item, evaluation

    async def columns(self, caller: Caller, evaluation_id: str, *, include_archived: bool = False) -> EvaluationColumns:
        """The columns of the items, flattened to dotted paths: the users' data and the tasks' results apart.

        A column of mixed types has the type that is most frequent among its non-null values. Looks at the
        first 10,000 items. Raises NotFound.
        """
        seen: dict[tuple[str, str], Counter[str]] = {}
        looked_at = 0
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(caller.account_id, evaluation_id, include_archived=include_archived)
            if evaluation is None:
                raise NotFound("evaluation", evaluation_id)
            archived = evaluation.archived_at is not None
            async for batch in unit.items.stream(evaluation.seq, include_archived=archived):
                for item in batch[: SAMPLE_SIZE - looked_at]:
                    _count(item, seen)
                looked_at = min(SAMPLE_SIZE, looked_at + len(batch))
                if looked_at >= SAMPLE_SIZE:
                    break
                await asyncio.sleep(0)
        columns = [
            ColumnSchema(name, _main_type(types), types.total(), "data" if source == "data" else "task_result_cache")
            for (name, source), types in seen.items()
        ]
        columns.sort(key=lambda column: (column.field_name, column.source))
        return EvaluationColumns(tuple(columns), evaluation.progress.total, looked_at)


def _count(item: Item, seen: dict[tuple[str, str], Counter[str]]) -> None:
    results = {
        alias: result.value
        for alias, result in item.results.items()
        if result.status is ResultStatus.COMPLETED or result.status is ResultStatus.PREFILLED
    }
    for source, values in (("data", item.data), ("results", results)):
        for name, data_type in _leaves(values, ""):
            seen.setdefault((name, source), Counter())[data_type] += 1


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """(dotted path, type) of every value that is not a filled object; a list is one leaf."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _type_of(value)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _main_type(types: Counter[str]) -> str:
    known = [(count, name) for name, count in types.items() if name != "null"]
    return max(known)[1] if known else "null"
