"""What an application may do to the server that calls it, and what comes of it: a clear error on the item."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assay.adapters.applications import HttpApplications
from assay.core.application_calls import ApplicationCall
from assay.core.endpoints import Endpoint, read_endpoint
from assay.core.results import ErrorType
from assay.registry.application_calls import ApplicationRun, run_application
from assay.settings import Settings
from tests.fakes.application_endpoint import FakeApplication

SECRET = "open-sesame-42/x"


@pytest.fixture
async def application() -> AsyncIterator[FakeApplication]:
    async with FakeApplication() as fake:
        yield fake


@pytest.fixture
async def applications(application: FakeApplication) -> AsyncIterator[HttpApplications]:
    made = applications_of(
        secrets={"bot": {"env": "BOT_TOKEN", "hosts": [f"127.0.0.1:{application.port}"]}},
        application_max_response_bytes=1 << 20,
    )
    yield made
    await made.close()


def applications_of(environ: dict[str, str] | None = None, lookup: Any = None, **settings: Any) -> HttpApplications:
    return HttpApplications(Settings(**settings), {"BOT_TOKEN": SECRET} if environ is None else environ, lookup)


def endpoint(application: FakeApplication, path: str = "/answer", **more: Any) -> Endpoint:
    response = {"output": "answer"}
    return read_endpoint({"url": application.url + path, "response": response, "timeout_seconds": 5, **more})


async def asked(applications: HttpApplications, at: Endpoint, question: str = "why?") -> ApplicationRun:
    return await run_application(applications, at, ApplicationCall({"question": question}))


async def test_an_answer_is_mapped_and_costs_one_attempt(
    application: FakeApplication, applications: HttpApplications
) -> None:
    mapping = {
        "output": "answer",
        "extra_info": "sources",
        "spans": "trace.spans",
        "usage": {"prompt_tokens": "usage.in", "completion_tokens": "usage.out"},
    }

    run = await asked(applications, endpoint(application, response=mapping))

    assert run.error is None
    assert run.answer is not None
    assert (run.answer.output, run.answer.extra_info) == ("WHY?", ["a", "b"])
    assert [span["name"] for span in run.answer.spans] == ["retrieve", "generate"]
    assert (run.usage.attempts, run.usage.prompt_tokens, run.usage.completion_tokens) == (1, 11, 4)
    assert application.calls[0].body == {"inputs": {"question": "why?"}}
    assert application.calls[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/redirect", ErrorType.INFERENCE_ERROR, "HTTP 302: redirects are not followed"),
        ("/status/500", ErrorType.INFERENCE_ERROR, "HTTP 500"),
        ("/status/404", ErrorType.INFERENCE_ERROR, "HTTP 404"),
        ("/html", ErrorType.INVALID_OUTPUT, "HTTP 200: the answer is an HTML page, not JSON"),
        ("/malformed", ErrorType.INVALID_OUTPUT, "HTTP 200: the answer is not JSON"),
        ("/empty", ErrorType.INVALID_OUTPUT, "HTTP 200: the answer is empty, not JSON"),
        ("/wrong-shape", ErrorType.INVALID_OUTPUT, "the answer has nothing at the output's path 'answer'"),
        ("/garbage", ErrorType.INVALID_OUTPUT, "what came back is not HTTP"),
        ("/headers", ErrorType.INVALID_OUTPUT, "what came back is not HTTP"),
        ("/compressed", ErrorType.INVALID_OUTPUT, "the answer is compressed though nobody asked for it"),
        ("/declared_gigabyte", ErrorType.INVALID_OUTPUT, "the answer is larger than 1048576 bytes"),
        ("/endless", ErrorType.INVALID_OUTPUT, "the answer is larger than 1048576 bytes"),
    ],
)
async def test_what_an_application_may_do_is_an_error_that_names_host_and_status(
    application: FakeApplication, applications: HttpApplications, path: str, kind: ErrorType, words: str
) -> None:
    run = await asked(applications, endpoint(application, path))

    assert run.answer is None
    assert run.error is not None
    assert run.error.type == kind
    assert run.error.message.startswith(f"127.0.0.1:{application.port}: {words}")
    assert "sesame" not in run.error.message
    assert len(application.calls) == 1, "nothing of this is tried again"


async def test_a_gigabyte_is_cut_off_early(application: FakeApplication, applications: HttpApplications) -> None:
    run = await asked(applications, endpoint(application, "/endless"))

    assert run.error is not None
    assert application.sent_bytes < 32 << 20
    await asyncio.sleep(0.1)
    assert application.in_flight == 0, "the connection is closed, not read to its end"


@pytest.mark.parametrize("path", ["/hang", "/drip"])
async def test_an_application_that_takes_too_long_is_a_timeout(
    application: FakeApplication, applications: HttpApplications, path: str
) -> None:
    begun = time.perf_counter()

    run = await asked(applications, endpoint(application, path, timeout_seconds=0.4))

    assert run.error is not None
    assert run.error.type == ErrorType.TIMEOUT
    assert run.error.message.endswith("no complete answer within 0.4 s")
    assert time.perf_counter() - begun < 3
    assert len(application.calls) == 1


async def test_an_application_that_is_busy_is_asked_again_when_it_says(
    application: FakeApplication, applications: HttpApplications
) -> None:
    run = await asked(applications, endpoint(application, "/busy"))

    assert run.answer is not None
    assert run.answer.output == "AT LAST"
    assert run.usage.attempts == 3
    first, second, third = (call.at for call in application.calls)
    assert second - first >= 0.2
    assert third - second >= 0.2


async def test_attempts_end(application: FakeApplication, applications: HttpApplications) -> None:
    application.busy = 100

    run = await asked(applications, endpoint(application, "/busy", max_attempts=2))

    assert run.error is not None
    assert run.error.message.endswith("HTTP 503 (after 2 attempts)")
    assert len(application.calls) == 2


@pytest.mark.parametrize(("path", "attempts"), [("/flaky", 2), ("/reset", 3), ("/short", 3)])
async def test_a_connection_that_breaks_is_tried_again(
    application: FakeApplication, applications: HttpApplications, path: str, attempts: int
) -> None:
    run = await asked(applications, endpoint(application, path))

    assert len(application.calls) == attempts
    assert (run.error is None) == (path == "/flaky")


async def test_nobody_listening_is_an_error_that_says_so(applications: HttpApplications) -> None:
    run = await asked(applications, read_endpoint({"url": "http://127.0.0.1:9/x", "max_attempts": 2}))

    assert run.error is not None
    assert run.error.message == "127.0.0.1:9: cannot connect (ECONNREFUSED) (after 2 attempts)"


async def test_a_name_that_is_not_there_is_an_error_that_says_so() -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no")

    made = applications_of(lookup=nowhere)
    run = await asked(made, read_endpoint({"url": "http://no.such.example/x", "max_attempts": 1}))
    await made.close()

    assert run.error is not None
    assert run.error.message == "no.such.example:80: no address found for the name"


async def test_calls_to_a_host_are_bounded(application: FakeApplication) -> None:
    application.latency = 0.05
    made = applications_of(application_concurrency=3)

    runs = await asyncio.gather(*(asked(made, endpoint(application)) for _ in range(12)))
    await made.close()

    assert all(run.error is None for run in runs)
    assert application.most_in_flight == 3


async def test_text_is_an_answer_where_the_mapping_says_so(
    application: FakeApplication, applications: HttpApplications
) -> None:
    run = await asked(applications, endpoint(application, "/text", response={"format": "text"}))

    assert run.answer is not None
    assert run.answer.output == "plain and fünf"


async def test_events_are_joined_and_end_with_the_last_though_the_connection_does_not(
    application: FakeApplication, applications: HttpApplications
) -> None:
    mapping = {
        "format": "sse",
        "output": "delta",
        "extra_info": "note",
        "usage": {"completion_tokens": "usage.out"},
    }
    run = await asked(applications, endpoint(application, "/events", response=mapping, timeout_seconds=3))

    assert run.answer is not None
    assert (run.answer.output, run.answer.extra_info, run.usage.completion_tokens) == ("one two", 7, 3)


async def test_a_get_sends_its_request_as_the_query(
    application: FakeApplication, applications: HttpApplications
) -> None:
    request = {"q": "{{inputs.question}}", "n": 3, "past": "{{history}}"}
    run = await asked(applications, endpoint(application, "/plain-query?a=b", method="GET", request=request), "a b&c")

    assert run.answer is not None
    assert run.answer.output == "/plain-query?a=b&q=a+b%26c&n=3"
    assert application.calls[0].body is None


async def test_a_secret_is_sent_and_nowhere_shown(application: FakeApplication, applications: HttpApplications) -> None:
    headers = {"Authorization": {"secret": "BOT", "prefix": "Bearer "}, "X-Token": {"secret": "bot"}, "X-Plain": "yes"}
    mapping = {"output": ""}

    good = await asked(applications, endpoint(application, "/secretive", headers=headers, response=mapping))
    bad = await asked(applications, endpoint(application, "/secretive-error", headers=headers, response=mapping))

    assert application.calls[0].headers["authorization"] == f"Bearer {SECRET}"
    assert application.calls[0].headers["x-plain"] == "yes"
    assert good.answer is not None
    assert good.answer.output["answer"] == "Bearer [hidden]"
    assert bad.error is not None
    assert bad.raw == "bad token Bearer [hidden], or [hidden]"
    assert SECRET not in repr(good) + repr(bad)


@pytest.mark.parametrize("secret", ["bot", "other", "home", "path", "BOT_TOKEN"])
async def test_a_secret_goes_to_the_hosts_that_it_is_for_and_no_other_variable_ever(
    application: FakeApplication, secret: str
) -> None:
    made = applications_of(
        {"BOT_TOKEN": SECRET, "HOME": "/root", "PATH": "/bin", "OTHER": ""},
        secrets={
            "bot": {"env": "BOT_TOKEN", "hosts": ["bot.example.com"]},
            "other": {"env": "OTHER", "hosts": ["127.0.0.1"]},
        },
    )
    at = endpoint(application, headers={"Authorization": {"secret": secret}})

    (problem,) = await made.problems(at)
    run = await asked(made, at)
    await made.close()

    assert problem.loc == ("headers", "Authorization", "secret")
    assert run.error is not None
    assert problem.message in run.error.message
    assert SECRET not in problem.message
    assert application.calls == []


def test_settings_never_show_a_secret() -> None:
    settings = Settings(secrets={"bot": {"value": SECRET, "hosts": ["a"]}})

    assert SECRET not in repr(settings)
    for given, words in (
        ({"value": SECRET, "env": "X", "hosts": ["a"]}, "value or env"),
        ({"value": SECRET}, "hosts"),
        ({"value": SECRET, "hosts": [], "valeu": SECRET}, "valeu"),
        (SECRET, "SecretSettings"),
    ):
        with pytest.raises(ValueError, match=words) as wrong:
            Settings(secrets={"bot": given})
        assert SECRET not in str(wrong.value)
