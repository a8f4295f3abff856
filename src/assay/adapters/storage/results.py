"""Results: written first-write-wins in bulk, read by ranges of items. Both are the hot paths of a run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import TextClause, bindparam, delete, text

from assay.adapters.storage.codec import dump_json, finite, load_json, storable
from assay.adapters.storage.session import Session, slices
from assay.adapters.storage.tables import ValueKind, results
from assay.adapters.storage.totals import read_totals
from assay.core.results import ErrorType, Result, ResultStatus, TaskError, Usage
from assay.ports.storage import ResultTotals

_COLUMNS = (
    "item_seq, alias, status, value, error_type, error_message,"
    " latency, attempts, prompt_tokens, completion_tokens, cached, cost, detail"
)
_IN_RANGE = text(
    f"SELECT {_COLUMNS} FROM results WHERE evaluation_seq = :evaluation"  # noqa: S608
    " AND item_seq BETWEEN :first AND :last ORDER BY item_seq"
)
_OF_ITEMS = text(
    f"SELECT {_COLUMNS} FROM results WHERE evaluation_seq = :evaluation AND item_seq IN :items"  # noqa: S608
    " ORDER BY item_seq"
).bindparams(bindparam("items", expanding=True))
_NUMBERS = text(
    "SELECT item_seq, number FROM results WHERE evaluation_seq = :evaluation AND alias = :alias"
    " AND number IS NOT NULL AND status IN ('completed', 'prefilled') ORDER BY item_seq"
)
_RENAME = text("UPDATE results SET alias = :after WHERE evaluation_seq = :evaluation AND alias = :before")
_VALUES = text(
    "SELECT item_seq, value FROM results WHERE evaluation_seq = :evaluation AND alias = :alias"
    " AND status = 'completed' ORDER BY item_seq"
)
_STATUS = {str(status): status for status in ResultStatus}
_ERROR_TYPE = {str(error_type): error_type for error_type in ErrorType}

ResultsByItem = Mapping[int, Mapping[str, Result]]


class SqlResults:
    """Implements `ports.storage.ResultRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, results: Sequence[Result]) -> int:
        """Insert results, first write wins; returns how many were really inserted."""
        if not results:
            return 0
        return await self._session.add_results([_to_row(result) for result in results])

    async def replace(self, results: Sequence[Result]) -> None:
        """Write results, over what is there."""
        await self._session.replace_results([_to_row(result) for result in results])

    async def remove(self, evaluation_seq: int, aliases: Sequence[str], *, item_seq: int | None = None) -> None:
        """Take results back, of one item or of all."""
        chosen = [results.c.evaluation_seq == evaluation_seq, results.c.alias.in_(aliases)]
        if item_seq is not None:
            chosen.append(results.c.item_seq == item_seq)
        await self._session.run(delete(results).where(*chosen))

    async def rename(self, evaluation_seq: int, aliases: Mapping[str, str]) -> None:
        """Give the results of aliases new ones, by the old."""
        for before, after in aliases.items():
            names = {"evaluation": evaluation_seq, "before": before, "after": after}
            await self._session.run(_RENAME, names)

    async def totals(self, evaluation_seq: int) -> Sequence[ResultTotals]:
        """Every alias with stored results, in no particular order."""
        return await read_totals(self._session, evaluation_seq)

    async def values(self, evaluation_seq: int, alias: str) -> Mapping[int, Any]:
        """item_seq to value, for completed results."""
        rows = await self._session.rows(_VALUES, {"evaluation": evaluation_seq, "alias": alias})
        return {item_seq: None if value is None else load_json(value) for item_seq, value in rows}

    async def numbers(self, evaluation_seq: int, alias: str) -> Mapping[int, float]:
        """item_seq to number, for completed or prefilled numeric results."""
        rows = await self._session.rows(_NUMBERS, {"evaluation": evaluation_seq, "alias": alias})
        return dict(map(tuple, rows))


async def results_between(session: Session, evaluation_seq: int, first: int, last: int) -> ResultsByItem:
    """The stored results of an evaluation's items in a range of sequence numbers."""
    return await _read(session, _IN_RANGE, evaluation_seq, {"first": first, "last": last})


async def results_of(session: Session, evaluation_seq: int, item_seqs: Sequence[int]) -> ResultsByItem:
    """The stored results of some items of one evaluation, given in ascending order."""
    if not item_seqs:
        return {}
    first, last = item_seqs[0], item_seqs[-1]
    if last - first < 4 * len(item_seqs):
        return await results_between(session, evaluation_seq, first, last)
    found: dict[int, Mapping[str, Result]] = {}
    for some in slices(item_seqs):
        found.update(await _read(session, _OF_ITEMS, evaluation_seq, {"items": list(some)}))
    return found


async def _read(
    session: Session, statement: TextClause, evaluation_seq: int, parameters: Mapping[str, Any]
) -> ResultsByItem:
    rows = await session.rows(statement, {"evaluation": evaluation_seq, **parameters})
    return _by_item(evaluation_seq, rows)


def _by_item(evaluation_seq: int, rows: Iterable[Sequence[Any]]) -> ResultsByItem:
    found: dict[int, dict[str, Result]] = {}
    for item_seq, alias, status, value, kind, message, latency, tries, asked, told, cached, cost, detail in rows:
        result = Result(
            evaluation_seq,
            item_seq,
            alias,
            _STATUS[status],
            None if value is None else load_json(value),
            None if kind is None else TaskError(_ERROR_TYPE[kind], message),
            None if latency is None else Usage(latency, tries, asked, told, cached == 1, cost),
            None if detail is None else load_json(detail),
        )
        of_item = found.get(item_seq)
        if of_item is None:
            found[item_seq] = {alias: result}
        else:
            of_item[alias] = result
    return found


def _to_row(result: Result) -> tuple[Any, ...]:
    """A row of `dialects.RESULT_COLUMNS`."""
    error, usage, detail, status = result.error, result.usage, result.detail, result.status
    value, kind, number = None, _NONE, None
    if status in _WITH_VALUE:
        value, number = dump_json(result.value), finite(result.number)
        kind = _kind(result.value, number)
    sandbox = None if detail is None else detail.get("sandbox")
    return (
        result.evaluation_seq,
        result.item_seq,
        result.alias,
        status.value,
        value,
        kind,
        number,
        None if error is None else error.type.value,
        None if error is None else storable(error.message),
        *(_NO_USAGE if usage is None else _usage(usage)),
        sandbox if isinstance(sandbox, str) else None,
        None if detail is None else dump_json(detail),
    )


def _kind(value: Any, number: float | None) -> int:
    if isinstance(value, str):
        return _TEXT
    if number is None:
        return _OTHER
    return _BOOLEAN if isinstance(value, bool) else _NUMBER


_NONE, _NUMBER, _BOOLEAN, _TEXT, _OTHER = (kind.value for kind in ValueKind)


_WITH_VALUE = (ResultStatus.COMPLETED, ResultStatus.PREFILLED)
_NO_USAGE = (None, None, None, None, None, None)


def _usage(usage: Usage) -> tuple[Any, ...]:
    cached = 1 if usage.cached else 0
    return (usage.latency, usage.attempts, usage.prompt_tokens, usage.completion_tokens, cached, usage.cost)
