"""Calls of models on behalf of somebody who waits: chats, completions, vendors' own requests, and what there is."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import uuid_utils

from assay.core.errors import AssayError, NotConfigured, RuleViolation, VendorFailed
from assay.core.identity import Caller
from assay.core.registered_models import ModelType
from assay.core.results import Usage
from assay.ports.inference import CallKind, Inference, InferenceCall
from assay.ports.storage import Storage
from assay.services.registered_models import RegisteredModels, Standing

log = structlog.get_logger(__name__)

_OBJECTS = {CallKind.CHAT: "chat.completion", CallKind.COMPLETION: "text_completion"}
_CHUNK_OBJECTS = {CallKind.CHAT: "chat.completion.chunk", CallKind.COMPLETION: "text_completion"}
_ID_PREFIXES = {CallKind.CHAT: "chatcmpl", CallKind.COMPLETION: "cmpl"}


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model that can be asked for."""

    vendor: str
    name: str
    type: ModelType
    standing: Standing


class InferenceCalls:
    """The use cases of inference. Each call is logged with what it cost, never with what was said or with a key.

    Every call raises what `ports.inference.Inference` says.
    """

    def __init__(self, inference: Inference, storage: Storage, models: RegisteredModels) -> None:
        self._inference = inference
        self._storage = storage
        self._models = models

    async def call(self, caller: Caller, call: InferenceCall) -> Any:
        """The whole answer. A chat's or a completion's has an id, a time and a model, whatever the vendor left out."""
        with _noted(caller, call) as note:
            answer = await self._inference.call(call)
            note.usage = answer.usage
        if call.kind is CallKind.GENERIC:
            return answer.body
        choices = answer.body.get("choices") if isinstance(answer.body, Mapping) else None
        if not isinstance(choices, list):
            raise VendorFailed(f"{call.model}: the answer is no {_OBJECTS[call.kind]}")
        return {**_head(call), **_good(answer.body), "object": _OBJECTS[call.kind]}

    @asynccontextmanager
    async def stream(self, caller: Caller, call: InferenceCall) -> AsyncIterator[AsyncIterator[Any]]:
        """The answer's chunks as they come, once the first is there. Leaving the block ends the vendor's call."""
        with _noted(caller, call) as note:
            async with self._inference.stream(call) as stream:
                try:
                    yield _shaped(call, stream)
                finally:
                    note.usage = stream.usage

    async def catalogue(self, caller: Caller, vendor: str | None = None) -> list[CatalogueEntry]:
        """The models that the configured vendors list and those that the account has registered, by vendor and
        name. A vendor that cannot be asked has none of its own here; never raises."""
        vendors = [each for each in self._inference.vendors if vendor in (None, each)]
        lists = await asyncio.gather(*(self._inference.listed(each) for each in vendors))
        found = {
            (each, name): CatalogueEntry(each, name, ModelType.CHAT_COMPLETION, Standing("available"))
            for each, names in zip(vendors, lists, strict=True)
            for name in names or ()
        }
        try:
            async with self._storage.read() as work:
                registered = await work.registered_models.every(caller.account_id, vendor)
        except AssayError as error:
            log.warning("catalogue_incomplete", reason=error.code)
            registered = ()
        for model in registered:
            key = (model.vendor, model.name)
            standing = found[key].standing if key in found else self._models.standing(model)
            found[key] = CatalogueEntry(model.vendor, model.name, model.type, standing)
        return [found[key] for key in sorted(found)]


def _head(call: InferenceCall) -> dict[str, Any]:
    """What an answer must have, for vendors that leave it out."""
    name = call.model.partition("/")[2]
    return {"id": f"{_ID_PREFIXES[call.kind]}-{uuid_utils.uuid7().hex}", "created": int(time.time()), "model": name}


def _good(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer without a head's values of the wrong type."""
    kinds = {"id": str, "created": int, "model": str}
    return {key: value for key, value in body.items() if key not in kinds or isinstance(value, kinds[key])}


async def _shaped(call: InferenceCall, stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The chunks with a head, the same for all of them."""
    if call.kind is CallKind.GENERIC:
        async for record in stream:
            yield record
        return
    head = {**_head(call), "object": _CHUNK_OBJECTS[call.kind]}
    async for chunk in stream:
        good = _good(chunk)
        head.update({key: good[key] for key in ("id", "created", "model") if key in good})
        yield {**good, **head}


@dataclass(slots=True)
class _Note:
    """What a call has cost so far."""

    usage: Usage | None = None


@contextmanager
def _noted(caller: Caller, call: InferenceCall) -> Iterator[_Note]:
    """Log the call that the block makes, unless it is refused before it is one."""
    note, outcome, status = _Note(), "left", None
    started = time.monotonic()
    try:
        yield note
        outcome = "answered"
    except VendorFailed as error:
        outcome, status = "failed", error.status
        raise
    except (NotConfigured, RuleViolation):
        outcome = ""
        raise
    finally:
        if outcome:
            usage = note.usage or Usage(time.monotonic() - started)
            log.info(
                "model_call",
                account=caller.account_id,
                model=call.model[:200],
                kind=call.kind.value,
                outcome=outcome,
                status=status,
                seconds=round(usage.latency, 3),
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                own_key=call.key is not None,
            )
