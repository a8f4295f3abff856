"""Spans and their assessments. A search reads narrow rows; a span's documents are read for the page alone."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, insert, literal, or_, select, tuple_, update

from assay.adapters.storage.codec import dump_json, fold, storable
from assay.adapters.storage.dialects import position_in
from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.session import Session, in_lists
from assay.adapters.storage.span_tables import span_assessments, span_contents, spans
from assay.adapters.storage.tables import Words
from assay.core.identity import Identity
from assay.core.paging import PageRequest
from assay.core.spans import (
    AssessmentType,
    Span,
    SpanAssessment,
    SpanFilter,
    SpanLink,
    SpanPage,
    SpanStatus,
    SpanType,
    searchable_text,
)

LONGEST_TEXT = 1_000_000
"""So many characters of a span are searched for texts."""
LONGEST_VALUE = 500
"""A metadata value with a longer JSON text is found by its hash."""
RUNNING = 2**63 - 1

_DOCUMENTS = ("input", "output", "expected", "metadata")
_PLAIN = (
    "parent_id",
    "group_id",
    "name",
    "started_at",
    "ended_at",
    "application_interaction_id",
    "application_variant_id",
    "obs_span_id",
    "obs_trace_id",
)
_WRITTEN = (*_PLAIN, "duration_ms", "status", "type", "input_tokens", "output_tokens", "size")
_CONTENTS = ("metadata_pairs", "searchable", *_DOCUMENTS)
_ORDERS = {
    "started_at": (spans.c.started_at, spans.c.seq),
    "duration_ms": (func.coalesce(spans.c.duration_ms, RUNNING), spans.c.seq),
    "input_tokens": (func.coalesce(spans.c.input_tokens, 0), spans.c.seq),
    "output_tokens": (func.coalesce(spans.c.output_tokens, 0), spans.c.seq),
}


def _mark(key: str, value: Any) -> str:
    """A metadata key with its value between line ends, which JSON text never holds: found whole or not at all.
    Equal values have equal marks, 1 and 1.0 as well."""
    text = json.dumps(_even(value), sort_keys=True, separators=(",", ":"))
    if len(text) > LONGEST_VALUE:
        text = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return f"\n{json.dumps(key)}:{text}\n"


def _even(value: Any) -> Any:
    """The value with whole numbers as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _even(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_even(inner) for inner in value]
    return value


def _columns(span: Span) -> dict[str, Any]:
    size = sum(len(dump_json(document)) for name in _DOCUMENTS if (document := getattr(span, name)) is not None)
    return {
        **{name: getattr(span, name) for name in _PLAIN},
        "duration_ms": span.duration_ms,
        "status": span.status.value,
        "type": span.type.value,
        "input_tokens": span.input_tokens,
        "output_tokens": span.output_tokens,
        "size": size,
    }


def _row(span: Span) -> dict[str, Any]:
    return {
        "account_id": span.account_id,
        "id": span.id,
        "trace_id": span.trace_id,
        "created_at": span.created_at,
        "created_by_id": span.created_by.id,
        "created_by_type": span.created_by.type,
        **_columns(span),
    }


def _contents(span: Span) -> dict[str, Any]:
    return {
        "metadata_pairs": "".join(_mark(*pair) for pair in (span.metadata or {}).items()),
        "searchable": storable(fold(searchable_text(span)[:LONGEST_TEXT])),
        **{name: getattr(span, name) for name in _DOCUMENTS},
    }


def _span(row: Row[Any], contents: Row[Any]) -> Span:
    return Span(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        trace_id=row.trace_id,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        status=SpanStatus(row.status),
        type=SpanType(row.type),
        **{name: getattr(row, name) for name in _PLAIN},
        **{name: getattr(contents, name) for name in _DOCUMENTS},
    )


def _holds(text: str) -> ColumnElement[bool]:
    return position_in(span_contents.c.searchable, literal(storable(fold(text)), Words())) > 0


def _has(key: str, values: Sequence[Any]) -> ColumnElement[bool]:
    marks = {storable(_mark(key, value)) for value in values}
    pairs = span_contents.c.metadata_pairs
    return or_(literal(False), *(position_in(pairs, literal(mark, Words())) > 0 for mark in sorted(marks)))


def _of_contents(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the documents of a span, read only once the rest has been looked at, meet the conditions."""
    return select(literal(1)).where(span_contents.c.span_seq == spans.c.seq, *conditions).exists()


def _conditions(where: SpanFilter) -> list[ColumnElement[bool]]:
    table = spans.c
    among = (
        (table.trace_id, where.trace_ids),
        (table.id, where.span_ids),
        (table.parent_id, where.parent_ids),
        (table.name, where.names),
        (table.status, where.statuses),
        (table.type, where.types),
        (table.application_interaction_id, where.application_interaction_ids),
        (table.application_variant_id, where.application_variant_ids),
        (table.obs_span_id, where.obs_span_ids),
        (table.obs_trace_id, where.obs_trace_ids),
    )
    pair = tuple_(table.trace_id, table.id)
    conditions: list[ColumnElement[bool] | None] = [
        *(column.in_(values) for column, values in among if values),
        table.trace_id.not_in(where.excluded_trace_ids) if where.excluded_trace_ids else None,
        table.id.not_in(where.excluded_span_ids) if where.excluded_span_ids else None,
        pair.in_(where.spans) if where.spans else None,
        pair.not_in(where.excluded_spans) if where.excluded_spans else None,
        table.group_id == where.group_id if where.group_id is not None else None,
        table.parent_id.is_(None) if where.parents_only else None,
        table.started_at >= where.since if where.since is not None else None,
        table.started_at <= where.until if where.until is not None else None,
        table.duration_ms >= where.min_duration_ms if where.min_duration_ms is not None else None,
        table.duration_ms <= where.max_duration_ms if where.max_duration_ms is not None else None,
        _assessed(where.assessment_types) if where.assessment_types else None,
        _of_contents(*(_has(*pair) for pair in where.metadata)) if where.metadata else None,
        _text_condition(where) if where.texts or where.text_trace_ids else None,
    ]
    return [condition for condition in conditions if condition is not None]


def _text_condition(where: SpanFilter) -> ColumnElement[bool]:
    found: list[ColumnElement[bool]] = []
    if where.texts:
        found.append(_of_contents(*map(_holds, where.texts)))
    if where.text_trace_ids:
        found.append(spans.c.trace_id.in_(where.text_trace_ids))
    return or_(*found)


def _assessed(types: Sequence[AssessmentType]) -> ColumnElement[bool]:
    table = span_assessments.c
    same = and_(table.account_id == spans.c.account_id, table.span_id == spans.c.id)
    return select(literal(1)).where(same, table.type.in_([each.value for each in types])).exists()


class SqlSpans:
    """Implements `ports.spans.SpanRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, new: Sequence[Span]) -> Sequence[str]:
        """Add spans of one account; the ids that were taken."""
        statement = self._session.dialect.insert_unless_exists(spans).returning(spans.c.seq, spans.c.id)
        added = await self._write(statement, new)
        return [span.id for span in new if span.id not in added]

    async def upsert(self, new: Sequence[Span]) -> Sequence[str]:
        """Add or replace spans of one account; the ids that belong to another trace."""

        def allowed(coming: Any) -> ColumnElement[bool]:
            supersedes = or_(coming.ended_at.is_not(None), spans.c.ended_at.is_(None))
            return and_(spans.c.trace_id == coming.trace_id, supersedes)

        statement = self._session.dialect.insert_or_update(spans, ("account_id", "id"), _WRITTEN, allowed)
        written = await self._write(statement.returning(spans.c.seq, spans.c.id), new)
        left = {span.id: span.trace_id for span in new if span.id not in written}
        if not left:
            return []
        found = await self._narrow(new[0].account_id, list(left))
        return [row.id for row in found if row.trace_id != left[row.id]]

    async def _write(self, statement: Any, new: Sequence[Span]) -> set[str]:
        """Run the insert and store the documents of what it wrote; the ids of that."""
        if not new:
            return set()
        by_id = {span.id: span for span in new}
        ordered = [by_id[span_id] for span_id in sorted(by_id)]  # one order of locks: writers cannot deadlock
        written = await self._session.rows(statement, [_row(span) for span in ordered])
        if written:
            put = self._session.dialect.insert_or_update(span_contents, ("span_seq",), _CONTENTS, lambda _: None)
            await self._session.run(put, [{"span_seq": row.seq, **_contents(by_id[row.id])} for row in written])
        return {row.id for row in written}

    async def save(self, span: Span) -> None:
        """Write what can change of an existing span."""
        await self._session.run(update(spans).where(spans.c.seq == span.seq).values(**_columns(span)))
        contents = update(span_contents).where(span_contents.c.span_seq == span.seq)
        await self._session.run(contents.values(**_contents(span)))

    async def get(self, account_id: str, span_id: str) -> Span | None:
        """The account's span with that id."""
        return await self._one(select(spans).where(spans.c.account_id == account_id, spans.c.id == span_id))

    async def _one(self, statement: Select[Any]) -> Span | None:
        row = await self._session.row(statement)
        return None if row is None else (await self._filled([row]))[0]

    async def get_many(self, account_id: str, span_ids: Sequence[str]) -> Mapping[str, Span]:
        """Those of the spans by id that are in the account."""
        found = await self._filled(await self._narrow(account_id, span_ids))
        return {span.id: span for span in found}

    async def _narrow(self, account_id: str, span_ids: Sequence[str]) -> list[Row[Any]]:
        found: list[Row[Any]] = []
        for some in in_lists(list(dict.fromkeys(span_ids))):
            found += await self._session.rows(
                select(spans).where(spans.c.account_id == account_id, spans.c.id.in_(some))
            )
        return found

    async def _filled(self, rows: Sequence[Row[Any]]) -> list[Span]:
        """The spans of rows, in their order, with their documents."""
        columns = [span_contents.c.span_seq, *(span_contents.c[name] for name in _DOCUMENTS)]
        contents: dict[int, Row[Any]] = {}
        for some in in_lists([row.seq for row in rows]):
            for row in await self._session.rows(select(*columns).where(span_contents.c.span_seq.in_(some))):
                contents[row.span_seq] = row
        return [_span(row, contents[row.seq]) for row in rows]

    async def of_interactions(self, account_id: str, interaction_ids: Sequence[str]) -> Mapping[str, Sequence[Span]]:
        """The spans of each of the interactions that has any, in the order in which they started."""
        found: dict[str, list[Span]] = {}
        for some in in_lists(list(dict.fromkeys(interaction_ids))):
            of_some = select(spans).where(
                spans.c.account_id == account_id, spans.c.application_interaction_id.in_(some)
            )
            for span in await self._filled(await self._session.rows(of_some.order_by(spans.c.started_at, spans.c.seq))):
                found.setdefault(span.application_interaction_id or "", []).append(span)
        return found

    async def lineage(self, account_id: str, span_ids: Sequence[str]) -> Mapping[str, SpanLink]:
        """The spans with these ids and all that they descend from."""
        links: dict[str, SpanLink] = {}
        columns = (spans.c.id, spans.c.trace_id, spans.c.parent_id)
        for some in in_lists(list(dict.fromkeys(span_ids))):
            start = select(*columns).where(spans.c.account_id == account_id, spans.c.id.in_(some))
            up = start.cte("lineage", recursive=True)
            above = select(*columns).join(up, spans.c.id == up.c.parent_id).where(spans.c.account_id == account_id)
            for row in await self._session.rows(select(up.union(above))):
                links[row.id] = SpanLink(row.id, row.trace_id, row.parent_id)
        return links

    async def root(self, account_id: str, trace_id: str) -> Span | None:
        """The trace's first span without a parent."""
        of_trace = select(spans).where(spans.c.account_id == account_id, spans.c.trace_id == trace_id)
        first = of_trace.where(spans.c.parent_id.is_(None)).order_by(spans.c.started_at, spans.c.seq).limit(1)
        return await self._one(first)

    async def search(
        self, account_id: str, page: PageRequest, where: SpanFilter, *, max_bytes: int | None = None
    ) -> SpanPage:
        """A page of the spans that meet `where`."""
        members = select(spans).where(spans.c.account_id == account_id)
        listing = Listing(members.where(*_conditions(where)), members, spans.c.id, _ORDERS)
        rows, total, has_more = await page_rows(self._session, listing, page)
        backwards = page.ending_before is not None
        sizes = accumulate(row.size for row in (reversed(rows) if backwards else rows))
        fitting = len(rows) if max_bytes is None else max(1, sum(size <= max_bytes for size in sizes))
        kept = rows[-fitting:] if backwards else rows[:fitting]
        cut_short = len(kept) < len(rows)
        return SpanPage(await self._filled(kept), total, has_more or cut_short, cut_short)


class SqlSpanAssessments:
    """Implements `ports.spans.SpanAssessmentRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, assessment: SpanAssessment) -> None:
        """Add it."""
        await self._session.run(
            insert(span_assessments).values(
                id=assessment.id,
                account_id=assessment.account_id,
                span_id=assessment.span_id,
                trace_id=assessment.trace_id,
                created_at=assessment.created_at,
                created_by_id=assessment.created_by.id,
                created_by_type=assessment.created_by.type,
                **_assessment_columns(assessment),
            )
        )

    async def get(self, account_id: str, assessment_id: str) -> SpanAssessment | None:
        """The account's assessment with that id."""
        table = span_assessments
        row = await self._session.row(
            select(table).where(table.c.id == assessment_id, table.c.account_id == account_id)
        )
        return None if row is None else _assessment(row)

    async def list(
        self,
        account_id: str,
        *,
        span_id: str | None = None,
        trace_id: str | None = None,
        type: AssessmentType | None = None,  # noqa: A002
    ) -> Sequence[SpanAssessment]:
        """Those of a span, of a trace's spans or of both, oldest first."""
        table = span_assessments.c
        statement = select(span_assessments).where(table.account_id == account_id)
        for column, value in ((table.span_id, span_id), (table.trace_id, trace_id), (table.type, type)):
            if value is not None:
                statement = statement.where(column == value)
        rows = await self._session.rows(statement.order_by(table.created_at, table.seq))
        return [_assessment(row) for row in rows]

    async def save(self, assessment: SpanAssessment) -> None:
        """Write what can change of an existing assessment."""
        await self._session.run(
            update(span_assessments)
            .where(span_assessments.c.id == assessment.id)
            .values(**_assessment_columns(assessment))
        )

    async def delete(self, assessment_id: str) -> None:
        """Remove it for good."""
        await self._session.run(delete(span_assessments).where(span_assessments.c.id == assessment_id))


def _assessment_columns(assessment: SpanAssessment) -> dict[str, Any]:
    contents = {kind.value: getattr(assessment, kind.value) for kind in AssessmentType}
    return {"type": assessment.type.value, "updated_at": assessment.updated_at, **contents}


def _assessment(row: Row[Any]) -> SpanAssessment:
    return SpanAssessment(
        id=row.id,
        account_id=row.account_id,
        span_id=row.span_id,
        trace_id=row.trace_id,
        type=AssessmentType(row.type),
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        **{kind.value: getattr(row, kind.value) for kind in AssessmentType},
    )
