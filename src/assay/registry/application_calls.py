"""How an application is run once: the one way for tasks, dry runs and requests."""

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from assay.core.application_calls import ApplicationCall, MappedAnswer, UnmappedAnswer, compose, map_answer
from assay.core.endpoints import Endpoint
from assay.core.locators import MissingValue
from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.applications import Applications

RAW_LENGTH = 500


@dataclass(frozen=True, slots=True)
class ApplicationRun:
    """What a run of an application gave: an answer, or an error. `sent` is the request's body, None when there
    was no request; `raw` an excerpt of an answer that could not be used."""

    answer: MappedAnswer | None = None
    error: TaskError | None = None
    usage: Usage = field(default_factory=lambda: Usage(attempts=0))
    sent: Any = None
    raw: str | None = None


async def run_application(applications: Applications, endpoint: Endpoint, call: ApplicationCall) -> ApplicationRun:
    """One call of an endpoint of the protocol `http`. What the application does is in the run, never raised.

    Error types beside the port's: `missing_field` (the request wants an input that is not there), `invalid_output`
    (the answer has no output where the mapping says).
    """
    if endpoint.protocol != "http":
        return ApplicationRun(error=TaskError(ErrorType.INVALID_INPUT, "this endpoint speaks the protocol of agents"))
    try:
        sent = compose(endpoint.request, call)
    except MissingValue as missing:
        return ApplicationRun(error=TaskError(ErrorType.MISSING_FIELD, str(missing)))
    reply = await applications.call(endpoint, sent)
    if reply.error is not None:
        return ApplicationRun(error=reply.error, usage=reply.usage, sent=sent, raw=reply.raw)
    try:
        answer = map_answer(endpoint.response, reply.body)
    except UnmappedAnswer as unmapped:
        error = TaskError(ErrorType.INVALID_OUTPUT, f"{endpoint.where}: {unmapped}")
        return ApplicationRun(error=error, usage=reply.usage, sent=sent, raw=short(reply.body))
    usage = replace(reply.usage, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
    return ApplicationRun(answer, usage=usage, sent=sent)


def short(body: Any) -> str:
    """The beginning of a JSON value, as text."""
    try:
        text = orjson.dumps(body).decode()
    except TypeError:
        return "(nested too deeply to be shown)"
    return text if len(text) <= RAW_LENGTH else text[: RAW_LENGTH - 3] + "..."
