"""Storage of spans and of what people say about them. Conventions as in `ports.storage`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from assay.core.paging import PageRequest
from assay.core.spans import AssessmentType, Span, SpanAssessment, SpanFilter, SpanLink, SpanPage


class SpanRepository(Protocol):
    """The spans of all accounts; an id is unique in its account."""

    async def add(self, spans: Sequence[Span]) -> Sequence[str]:
        """Add spans of one account with different ids. Returns the ids that were taken: those spans are not added."""
        ...

    async def upsert(self, spans: Sequence[Span]) -> Sequence[str]:
        """Add spans of one account with different ids, or replace those that are there: unless they are finished
        and the new telling is not (see `core.spans.supersedes`). Who stored a span first, when, and its seq stay.
        Returns the ids that another trace of the account has: those spans are not written."""
        ...

    async def save(self, span: Span) -> None:
        """Write everything about an existing span but its account, trace, seq and creation."""
        ...

    async def get(self, account_id: str, span_id: str) -> Span | None:
        """The account's span with that id. In a writing transaction nobody else changes it before this one ends."""
        ...

    async def get_many(self, account_id: str, span_ids: Sequence[str]) -> Mapping[str, Span]:
        """Those of the spans by id that are in the account."""
        ...

    async def of_interactions(self, account_id: str, interaction_ids: Sequence[str]) -> Mapping[str, Sequence[Span]]:
        """The spans of each of the interactions that has any, in the order in which they started."""
        ...

    async def lineage(self, account_id: str, span_ids: Sequence[str]) -> Mapping[str, SpanLink]:
        """The spans with these ids and all that they descend from, by id."""
        ...

    async def root(self, account_id: str, trace_id: str) -> Span | None:
        """The trace's span without a parent; of several the one that started first."""
        ...

    async def search(
        self, account_id: str, page: PageRequest, where: SpanFilter, *, max_bytes: int | None = None
    ) -> SpanPage:
        """A page of the spans that meet `where`. sort_by: started_at, duration_ms (running ones last when
        ascending), input_tokens, output_tokens (none counts as 0). Unknown cursor: InvalidCursor.

        With `max_bytes` a page ends before the span whose documents would make it larger than that (but has at
        least one), and says so.
        """
        ...


class SpanAssessmentRepository(Protocol):
    """Assessments of spans. Each belongs to a span that is stored."""

    async def add(self, assessment: SpanAssessment) -> None:
        """Add it."""
        ...

    async def get(self, account_id: str, assessment_id: str) -> SpanAssessment | None:
        """The account's assessment with that id."""
        ...

    async def list(
        self,
        account_id: str,
        *,
        span_id: str | None = None,
        trace_id: str | None = None,
        type: AssessmentType | None = None,  # noqa: A002
    ) -> Sequence[SpanAssessment]:
        """Those of a span, of a trace's spans or of both, oldest first."""
        ...

    async def save(self, assessment: SpanAssessment) -> None:
        """Write its type, content and updated_at."""
        ...

    async def delete(self, assessment_id: str) -> None:
        """Remove it for good."""
        ...
