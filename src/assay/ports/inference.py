"""Inference: calls of models for somebody who waits for the answer, whole or as it comes."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self

from assay.core.results import Usage


class CallKind(StrEnum):
    """What a call wants: a chat or a completion, both in OpenAI's shape, or the vendor's own request as it is."""

    CHAT = "chat"
    COMPLETION = "completion"
    GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class InferenceCall:
    """One call. `model` is `vendor/model`; `body` is OpenAI's body, or the vendor's own, without `model` and
    `stream`. `key` is the caller's own key for the vendor, instead of the server's. `num_retries` are attempts
    after the first, `timeout_seconds` bounds each of them (of a stream: each silence); None: as the vendor is
    configured."""

    kind: CallKind
    model: str
    body: Mapping[str, Any] = field(repr=False)
    key: str | None = field(default=None, repr=False)
    num_retries: int | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A whole answer: the parsed body, of a chat in OpenAI's shape, and what it cost."""

    body: Any
    usage: Usage


class ModelStream(Protocol):
    """An answer as it comes: OpenAI's chunks, or the vendor's own records, each a JSON value.

    Iterating raises VendorFailed when the answer breaks off; an end without it is the answer's own end.
    """

    @property
    def usage(self) -> Usage:
        """What it has cost so far: seconds since the call, attempts, and tokens where the vendor says them."""
        ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Any: ...


class Inference(Protocol):
    """Calls models over the vendors that are configured, within the limits that tasks keep too.

    Attempts are as for tasks, but a vendor that asks to wait longer than the one who waits should is not waited
    for: VendorFailed then says how long. Every call raises NotConfigured for a model without a vendor or whose
    vendor cannot be called, RuleViolation for what the vendor's wire cannot say, VendorFailed otherwise.
    """

    @property
    def vendors(self) -> Sequence[str]:
        """The names of the configured vendors, sorted."""
        ...

    def problem(self, model: str, *, own_key: bool = False) -> str | None:
        """Why `vendor/model` cannot be called, naming the setting that cures it; None when it can. A key of the
        caller's own stands in for one that the server lacks."""
        ...

    async def call(self, call: InferenceCall) -> ModelAnswer:
        """The whole answer."""
        ...

    def stream(self, call: InferenceCall) -> AbstractAsyncContextManager[ModelStream]:
        """The answer as it comes, once its first chunk is there; at the end of the block the vendor's call ends
        too, whether or not all of it was read."""
        ...

    async def listed(self, vendor: str) -> Sequence[str] | None:
        """The names of the models that a configured vendor lists, remembered for a minute; None when it cannot be
        asked. Never raises."""
        ...
