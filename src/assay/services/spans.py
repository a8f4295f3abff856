"""Spans: told once or again and again by their producers, searched, and assessed by people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import uuid_utils

from assay.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem, RuleViolation
from assay.core.identity import Caller, Identity
from assay.core.paging import PageRequest
from assay.core.spans import (
    MOST_IDS,
    AssessmentType,
    NewSpan,
    Span,
    SpanAssessment,
    SpanFilter,
    SpanLink,
    SpanPage,
    assessment_problems,
    end_problems,
    find_cycle,
    name_problems,
    span_problems,
    supersedes,
)
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork

Loc = tuple[str | int, ...]
PAGE_BYTES = 64 * 1024 * 1024
"""The most that the documents of a page may hold: a page is built in memory."""
_FIELDS = tuple(field.name for field in fields(NewSpan) if field.name != "id")


@dataclass(frozen=True, slots=True)
class Teller:
    """Who stores spans, into which account, and when."""

    account_id: str
    identity: Identity
    at: datetime


async def store_spans(
    work: UnitOfWork, teller: Teller, told: Sequence[NewSpan], *, replacing: bool = True, loc: Loc = ("body", "items")
) -> list[Span]:
    """Store spans inside the caller's transaction; returns them as they are stored now, each id once, in the order
    in which they were first named.

    A span told several times is stored once, as it was told last; but a finished one is not replaced by a running
    one, neither within `told` nor in the store. With `replacing` False only new ids may come.

    Raises InvalidInput for a span that is wrong in itself (see `core.spans.span_problems`; places are under `loc`
    and the span's index), Conflict for an id that another trace has, for a parent in another trace, for parents in
    a ring, and when not `replacing` for an id that is taken or comes twice.
    """
    _check([(index, span) for index, span in enumerate(told)], loc)
    chosen: dict[str, Span] = {}
    for new in told:
        span = _span(new, teller)
        if not replacing and span.id in chosen:
            raise Conflict(f"the span {span.id} comes twice in one request; PUT takes spans that repeat")
        if span.id not in chosen or supersedes(span, chosen[span.id]):
            chosen[span.id] = span
    spans = list(chosen.values())
    await _check_parents(work, teller.account_id, spans)
    refused = await (work.spans.upsert(spans) if replacing else work.spans.add(spans))
    if refused:
        why = "belongs to another trace" if replacing else "is there already; PUT replaces spans"
        raise Conflict(f"span id {min(refused)} {why}")
    stored = await work.spans.get_many(teller.account_id, list(chosen))
    return [stored[span_id] for span_id in chosen]


class Spans:
    """The use cases of spans."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewSpan) -> Span:
        """Store one new span. Errors: see `store_spans`."""
        async with self._storage.write() as work:
            return (await store_spans(work, self._teller(caller), [new], replacing=False, loc=("body",)))[0]

    async def create_many(self, caller: Caller, new: Sequence[NewSpan]) -> list[Span]:
        """Store new spans, all or none. Errors: see `store_spans`."""
        async with self._storage.write() as work:
            return await store_spans(work, self._teller(caller), new, replacing=False)

    async def upsert(self, caller: Caller, told: Sequence[NewSpan]) -> list[Span]:
        """Store spans that may be there already, all or none. See `store_spans`."""
        async with self._storage.write() as work:
            return await store_spans(work, self._teller(caller), told)

    def _teller(self, caller: Caller) -> Teller:
        return Teller(caller.account_id, caller.identity, self._clock.now())

    async def get(self, caller: Caller, span_id: str) -> Span:
        """One span of the account. Raises NotFound."""
        async with self._storage.read() as work:
            return await _existing(work, caller, span_id)

    async def update(self, caller: Caller, span_id: str, changes: Mapping[str, Any]) -> Span:
        """Change the fields named: name, ended_at, output, metadata, status.

        Raises NotFound, RuleViolation when there is nothing to change, InvalidInput for an end before the start.
        """
        if not changes:
            raise RuleViolation("nothing to change: give name, end_timestamp, output, metadata or status")
        async with self._storage.write() as work:
            changed = replace(await _existing(work, caller, span_id), **changes)
            problems = [*name_problems(changed.name), *end_problems(changed.started_at, changed.ended_at)]
            if problems:
                raise InvalidInput([_under(("body",), problem) for problem in problems])
            await work.spans.save(changed)
        return changed

    async def search(
        self, caller: Caller, page: PageRequest, where: SpanFilter, *, allow_partial: bool = False
    ) -> SpanPage:
        """A page of the account's spans that meet `where`; sort_by as in `ports.spans`.

        Raises InvalidInput for too many ids or times in the wrong order; RuleViolation for a page whose documents
        would be larger than PAGE_BYTES, unless `allow_partial`: then it ends before it is.
        """
        if where.id_count > MOST_IDS:
            message = f"at most {MOST_IDS} ids in all, a pair counting as two; there are {where.id_count}"
            raise InvalidInput.at(("body",), message, type="too_long")
        if where.since is not None and where.until is not None and where.since > where.until:
            raise InvalidInput.at(("query", "from_ts"), "must not lie after to_ts", type="reversed_window")
        async with self._storage.read() as work:
            found = await work.spans.search(caller.account_id, page, where, max_bytes=PAGE_BYTES)
        if found.cut_short and not allow_partial:
            raise RuleViolation(
                f"this page's spans hold more than {PAGE_BYTES} bytes; ask for fewer with limit, or send"
                " allow_partial_results=true and read has_more"
            )
        return found


class SpanAssessments:
    """The use cases of what people say about spans."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(
        self, caller: Caller, trace_id: str, span_id: str | None, kind: AssessmentType, content: Mapping[str, Any]
    ) -> SpanAssessment:
        """Say something about a span, or about the root span of a trace.

        Raises NotFound for a span or trace that there is not, InvalidInput for content that does not go with the
        type, Conflict for a second overwrite of a span.
        """
        now = self._clock.now()
        async with self._storage.write() as work:
            span = await _assessed(work, caller, trace_id, span_id)
            assessment = SpanAssessment(
                id=str(uuid_utils.uuid7()),
                account_id=caller.account_id,
                span_id=span.id,
                trace_id=span.trace_id,
                type=kind,
                created_at=now,
                updated_at=now,
                created_by=caller.identity,
                **content,
            )
            await _check_assessment(work, assessment)
            await work.span_assessments.add(assessment)
        return assessment

    async def get(self, caller: Caller, assessment_id: str) -> SpanAssessment:
        """One assessment of the account. Raises NotFound."""
        async with self._storage.read() as work:
            return await _existing_assessment(work, caller, assessment_id)

    async def list(
        self,
        caller: Caller,
        *,
        span_id: str | None = None,
        trace_id: str | None = None,
        kind: AssessmentType | None = None,
    ) -> Sequence[SpanAssessment]:
        """The assessments of a span or of a trace, oldest first. Raises RuleViolation when neither is named."""
        if span_id is None and trace_id is None:
            raise RuleViolation("name the span_id or the trace_id whose assessments are wanted")
        async with self._storage.read() as work:
            return await work.span_assessments.list(caller.account_id, span_id=span_id, trace_id=trace_id, type=kind)

    async def update(self, caller: Caller, assessment_id: str, changes: Mapping[str, Any]) -> SpanAssessment:
        """Change the type or content; None takes a content away. Raises NotFound, Forbidden for anybody but who
        made it, RuleViolation when there is nothing to change, and as `create` does."""
        if not changes:
            raise RuleViolation("nothing to change: give assessment_type or content")
        async with self._storage.write() as work:
            found = await _own(work, caller, assessment_id)
            await work.spans.get(caller.account_id, found.span_id)  # holds the span: one overwrite at a time
            changed = replace(found, **changes, updated_at=self._clock.now())
            await _check_assessment(work, changed)
            await work.span_assessments.save(changed)
        return changed

    async def delete(self, caller: Caller, assessment_id: str) -> None:
        """Remove it for good. Raises NotFound, and Forbidden for anybody but who made it."""
        async with self._storage.write() as work:
            await _own(work, caller, assessment_id)
            await work.span_assessments.delete(assessment_id)


def _under(loc: Loc, problem: Problem) -> Problem:
    return replace(problem, loc=(*loc, *problem.loc))


def _check(told: Sequence[tuple[int, NewSpan]], loc: Loc) -> None:
    problems = []
    for index, span in told:
        place = loc if loc == ("body",) else (*loc, index)
        problems += [_under(place, problem) for problem in span_problems(span)]
    if problems:
        raise InvalidInput(problems)


def _span(new: NewSpan, teller: Teller) -> Span:
    return Span(
        id=new.id or str(uuid_utils.uuid7()),
        seq=0,
        account_id=teller.account_id,
        created_at=teller.at,
        created_by=teller.identity,
        **{name: getattr(new, name) for name in _FIELDS},
    )


async def _check_parents(work: UnitOfWork, account_id: str, spans: Sequence[Span]) -> None:
    """Raise Conflict unless every parent that is known is in its child's trace and no chain of parents is a ring.
    Parents may be stored after their children."""
    told = {span.id: SpanLink(span.id, span.trace_id, span.parent_id) for span in spans}
    parents = [span.parent_id for span in spans if span.parent_id is not None]
    if not parents:
        return
    stored = await work.spans.lineage(account_id, [each for each in parents if each not in told])
    links = {**stored, **told}
    for span in spans:
        parent = links.get(span.parent_id) if span.parent_id is not None else None
        if parent is not None and parent.trace_id != span.trace_id:
            raise Conflict(f"span {span.id} is in trace {span.trace_id}, its parent {parent.id} in another")
    ring = find_cycle(links, told)
    if ring is not None:
        raise Conflict(f"these spans are each other's parents: {', '.join(ring[:10])}")


async def _existing(work: UnitOfWork, caller: Caller, span_id: str) -> Span:
    span = await work.spans.get(caller.account_id, span_id)
    if span is None:
        raise NotFound("span", span_id)
    return span


async def _assessed(work: UnitOfWork, caller: Caller, trace_id: str, span_id: str | None) -> Span:
    """The span that an assessment is about, held for this transaction."""
    if span_id is None:
        span = await work.spans.root(caller.account_id, trace_id)
        if span is None:
            raise NotFound("root span of trace", trace_id)
        return span
    span = await _existing(work, caller, span_id)
    if span.trace_id != trace_id:
        raise NotFound(f"span of trace {trace_id}", span_id)
    return span


async def _existing_assessment(work: UnitOfWork, caller: Caller, assessment_id: str) -> SpanAssessment:
    found = await work.span_assessments.get(caller.account_id, assessment_id)
    if found is None:
        raise NotFound("span assessment", assessment_id)
    return found


async def _own(work: UnitOfWork, caller: Caller, assessment_id: str) -> SpanAssessment:
    found = await _existing_assessment(work, caller, assessment_id)
    if found.created_by.id != caller.identity.id:
        raise Forbidden("only who made an assessment may change or delete it")
    return found


async def _check_assessment(work: UnitOfWork, assessment: SpanAssessment) -> None:
    problems = list(assessment_problems(assessment))
    if problems:
        raise InvalidInput([_under(("body",), problem) for problem in problems])
    if assessment.type is not AssessmentType.OVERWRITE:
        return
    there = await work.span_assessments.list(
        assessment.account_id, span_id=assessment.span_id, type=AssessmentType.OVERWRITE
    )
    if any(each.id != assessment.id for each in there):
        raise Conflict(f"span {assessment.span_id} has an overwrite already; change or delete that one")
