"""Interactions that an application tells of: one exchange with somebody, with the steps that led to the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import uuid_utils

from assay.core.application_outputs import Interaction
from assay.core.applications import ApplicationVariant
from assay.core.identity import Caller
from assay.core.spans import NewSpan
from assay.ports.clock import Clock
from assay.ports.storage import Storage
from assay.services.application_outputs import Trace
from assay.services.catalogue import find, unarchived
from assay.services.spans import Teller, store_spans

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class NewInteraction:
    """An exchange to store. The spans' trace and interaction are set when they are stored; without `duration_ms` it
    ends with the last of them."""

    variant_id: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    started_at: datetime
    duration_ms: int | None = None
    status: Literal["SUCCESS", "ERROR"] = "SUCCESS"
    metadata: Mapping[str, Any] | None = None
    thread_id: str | None = None
    spans: Sequence[NewSpan] = ()


class Interactions:
    """The use cases of interactions."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewInteraction) -> Trace:
        """Store an exchange in its variant's account, with its spans; all or nothing.

        Raises NotFound for an unknown variant, RuleViolation for an archived one, InvalidInput for a span that is
        wrong in itself.
        """
        async with self._storage.write() as work:
            variant = unarchived(await find(work.application_variants, ApplicationVariant, caller, new.variant_id))
            now = self._clock.now()
            interaction = Interaction(
                id=str(uuid_utils.uuid7()),
                seq=0,
                account_id=variant.account_id,
                spec_id=variant.application_spec_id,
                variant_id=variant.id,
                source="EXTERNAL_AI",
                started_at=new.started_at,
                duration_ms=_duration(new),
                status=new.status,
                input=new.input,
                output=new.output,
                created_at=now,
                created_by=caller.identity,
                metadata=new.metadata,
                thread_id=new.thread_id,
            )
            await work.application_outputs.add((), [interaction])
            told = [
                replace(
                    span,
                    trace_id=interaction.id,
                    application_interaction_id=interaction.id,
                    application_variant_id=variant.id,
                )
                for span in new.spans
            ]
            teller = Teller(variant.account_id, caller.identity, now)
            return Trace(interaction, await store_spans(work, teller, told, loc=("body", "trace_spans")))


def _duration(new: NewInteraction) -> int:
    if new.duration_ms is not None:
        return new.duration_ms
    ends = [span.ended_at or span.started_at for span in new.spans]
    return max(0, (max(ends, default=new.started_at) - new.started_at) // _MILLISECOND)
