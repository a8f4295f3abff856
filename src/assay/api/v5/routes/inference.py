"""Models answer at once: `/v5/chat/completions`, `/v5/completions` and `/v5/inference`, whole or streamed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.errors import VENDOR_RESPONSES
from assay.api.shared.rendering import json_response
from assay.api.shared.services import ApiServices, FromServices
from assay.api.shared.streaming import EventStream, unless_left
from assay.api.shared.versions import version_router
from assay.api.v5.schemas.inference import (
    ChatCompletion,
    Completion,
    CreateChatCompletion,
    CreateCompletion,
    CreateInference,
    GenericInference,
    InferenceAttempts,
    ModelCatalogue,
)
from assay.core.identity import Caller
from assay.ports.inference import CallKind, InferenceCall
from assay.services.inference import CatalogueEntry

router = version_router("/v5", "Inference")

STREAMED: dict[int | str, dict[str, Any]] = {
    **VENDOR_RESPONSES,
    200: {
        "description": "The answer; with `stream` its chunks as server-sent events.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}


@router.post("/chat/completions", response_model=ChatCompletion, responses=STREAMED)
async def create_chat_completion(
    request: Request,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateChatCompletion, Depends(JsonBody(CreateChatCompletion))],
    openai_key: Annotated[
        str | None,
        Header(
            alias="x-openai-api-key", description="The caller's own key, used for this call if its vendor is openai."
        ),
    ] = None,
) -> Response:
    """Let a model complete a chat. The vendor is what stands before the model's first slash, as in tasks."""
    own_key = openai_key if openai_key and body.model.startswith("openai/") else None
    call = InferenceCall(CallKind.CHAT, body.model, body.passed_on(), key=own_key)
    return await _answered(request, services, caller, call, stream=bool(body.stream))


@router.get("/chat/completions/models", response_model=ModelCatalogue)
async def list_callable_models(
    services: FromServices,
    caller: FromCaller,
    model_vendor: Annotated[str | None, Query(description="Only this vendor's.")] = None,
) -> Response:
    """Every model that can be asked for: those that the configured vendors list, and those that are registered in
    the account. All on one page; a vendor that cannot be asked lists none."""
    entries = await services.inference.catalogue(caller, model_vendor or None)
    return json_response({"object": "list", "items": [_catalogued(entry) for entry in entries]})


@router.post("/completions", response_model=Completion, responses=STREAMED)
async def create_completion(
    request: Request,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateCompletion, Depends(JsonBody(CreateCompletion))],
) -> Response:
    """Let a model complete a prompt."""
    call = InferenceCall(CallKind.COMPLETION, body.model, body.passed_on())
    return await _answered(request, services, caller, call, stream=bool(body.stream))


@router.post("/inference", response_model=GenericInference, responses=STREAMED)
async def create_inference(
    request: Request,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateInference, Depends(JsonBody(CreateInference))],
) -> Response:
    """Send a vendor's own request; the answer is the vendor's, as it came. `"stream": true` in `args` streams it."""
    args = dict(body.args or {})
    stream = args.pop("stream", None) is True
    attempts = body.inference_configuration or InferenceAttempts()
    call = InferenceCall(
        CallKind.GENERIC,
        body.model,
        args,
        num_retries=attempts.num_retries,
        timeout_seconds=attempts.timeout_seconds,
    )
    if stream:
        return EventStream(lambda: _wrapped(services, caller, call))
    response = await unless_left(request, services.inference.call(caller, call))
    return json_response({"object": "generic_inference", "response": response})


async def _answered(
    request: Request, services: ApiServices, caller: Caller, call: InferenceCall, *, stream: bool
) -> Response:
    if stream:
        return EventStream(lambda: services.inference.stream(caller, call))
    return json_response(await unless_left(request, services.inference.call(caller, call)))


@asynccontextmanager
async def _wrapped(services: ApiServices, caller: Caller, call: InferenceCall) -> AsyncIterator[AsyncIterator[Any]]:
    async with services.inference.stream(caller, call) as records:
        yield ({"object": "generic_inference.chunk", "response": record} async for record in records)


def _catalogued(entry: CatalogueEntry) -> dict[str, Any]:
    return {
        "model_name": entry.name,
        "model_type": entry.type.value,
        "model_vendor": entry.vendor,
        "model_availability": entry.standing.availability,
    }
