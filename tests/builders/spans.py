"""Builds spans and assessments."""

from datetime import timedelta
from typing import Any

from assay.core.identity import DEFAULT_ACCOUNT_ID
from assay.core.spans import AssessmentType, NewSpan, Span, SpanAssessment
from tests.builders.identity import ALICE, NOW, new_id

SECOND = timedelta(seconds=1)


def make_new_span(**changes: Any) -> NewSpan:
    """A finished span of one second, as it is told."""
    return NewSpan(**{"trace_id": "t", "name": "step", "started_at": NOW, "ended_at": NOW + SECOND, **changes})


def make_span(**changes: Any) -> Span:
    """A finished span of one second in the default account."""
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "trace_id": "t",
        "name": "step",
        "started_at": NOW,
        "ended_at": NOW + SECOND,
        "created_at": NOW,
        "created_by": ALICE,
    }
    return Span(**{**defaults, **changes})


def make_assessment(span: Span, **changes: Any) -> SpanAssessment:
    """A comment on a span."""
    defaults = {
        "id": new_id(),
        "account_id": span.account_id,
        "span_id": span.id,
        "trace_id": span.trace_id,
        "type": AssessmentType.COMMENT,
        "comment": "good",
        "created_at": NOW,
        "updated_at": NOW,
        "created_by": ALICE,
    }
    return SpanAssessment(**{**defaults, **changes})
