"""What a task left for an item: a value or an error, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from assay.core.spans import NewSpan, Span

Amount = TypeVar("Amount", int, float)

JSON = Any
"""A JSON value: None, bool, int, float (finite), str, list or dict of JSON values."""


class ResultStatus(StrEnum):
    """The state of one task on one item."""

    PENDING = "pending"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    ERRORED = "errored"
    PREFILLED = "prefilled"


class ErrorType(StrEnum):
    """Why a task failed on an item; stable words on the wire (`task_errors[alias].type`)."""

    MISSING_FIELD = "missing_field"
    UPSTREAM_ERROR = "upstream_error"
    INVALID_INPUT = "invalid_input"
    INVALID_OUTPUT = "invalid_output"
    INFERENCE_ERROR = "inference_error"
    TIMEOUT = "timeout"
    FUNCTION_ERROR = "function_error"
    UNSUPPORTED_TASK = "unsupported_task"
    INTERNAL_ERROR = "internal_error"
    NO_CONSENSUS = "no_consensus"


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why a task has no value for an item. `message` holds no secret and no more than 2,000 characters."""

    type: ErrorType
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What producing a value cost. Tokens are None where the endpoint did not say; latency in seconds; `cost` in
    US dollars, None where no price is set. An answer from the cache has its tokens and costs nothing."""

    latency: float = 0.0
    attempts: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached: bool = False
    cost: float | None = None

    def plus(self, other: "Usage") -> "Usage":
        """What two calls cost together: everything adds up. What one of them does not say counts nothing."""
        return Usage(
            self.latency + other.latency,
            self.attempts + other.attempts,
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
            self.cached and other.cached,
            _sum(self.cost, other.cost),
        )


def _sum(one: Amount | None, other: Amount | None) -> Amount | None:
    return other if one is None else one if other is None else one + other


@dataclass(frozen=True, slots=True)
class Outcome:
    """The return of a task's run on one item: a value, or an error beside it, never both.

    `columns` are further named values (a custom function's `outputs`); `detail` is kept with the result
    for a reader (the raw text of an unreadable answer, the sandbox in force) and never aggregated. `skipped`:
    the task did not apply to the item, and there is neither value nor error. `spans` are a trace of how the value
    came about, with ids of their own (see `core.application_spans.read_spans`).
    """

    value: JSON = None
    error: TaskError | None = None
    usage: Usage | None = None
    columns: Mapping[str, "JSON"] = field(default_factory=dict)
    detail: Mapping[str, "JSON"] | None = None
    skipped: bool = False
    spans: Sequence[NewSpan] = ()

    @classmethod
    def failed(
        cls,
        error_type: ErrorType,
        message: str,
        *,
        usage: Usage | None = None,
        detail: Mapping[str, JSON] | None = None,
    ) -> "Outcome":
        """An error outcome; the message is cut at 2,000 characters."""
        if len(message) > 2000:
            message = message[:1997] + "..."
        return cls(error=TaskError(error_type, message), usage=usage, detail=detail)


@dataclass(frozen=True, slots=True)
class Result:
    """One stored result: the value or error of `alias` on the item `item_seq` of `evaluation_seq`.

    Keyed by (evaluation_seq, item_seq, alias), first write wins. `value` is None unless completed or
    prefilled. A custom function's extra output columns are results of their own. `spans` are stored with the
    result and not read back with it; `detail` has their `trace_id`.
    """

    evaluation_seq: int
    item_seq: int
    alias: str
    status: ResultStatus
    value: JSON = None
    error: TaskError | None = None
    usage: Usage | None = None
    detail: Mapping[str, JSON] | None = None
    spans: Sequence[Span] = ()

    @property
    def number(self) -> float | None:
        """The value as a number for aggregates: ints, floats and booleans (1 or 0); else None."""
        if self.error is None and isinstance(self.value, bool | int | float):
            try:
                return float(self.value)
            except OverflowError:
                return None
        return None
