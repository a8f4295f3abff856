"""What every path shares: keys, accounts, errors in one envelope, limits, hostile addresses, the document."""

import json

import pytest

from assay.api.app import build_api
from assay.api.shared.services import ApiServices
from assay.settings import Settings
from tests.builders.evaluating import evaluating_api


@pytest.fixture
async def api(tmp_path):
    async with evaluating_api(tmp_path) as evaluating:
        yield evaluating


async def test_health_needs_no_key_and_everything_answers_under_public_too(api):
    raw = api.served.raw
    assert (await raw.get("/healthz", headers={"x-api-key": ""})).json()["status"] == "ok"
    created = await api.create()
    for prefix in ("", "/public"):
        found = await raw.get(f"{prefix}/v5/evaluations/{created['id']}")
        assert found.json()["id"] == created["id"]
    assert (await raw.get("/publicity/v5/evaluations")).status_code == 404


@pytest.mark.parametrize("key", ["", "assay_wrong", "é"])
async def test_without_a_good_key_the_answer_is_401(api, key):
    answer = await api.served.raw.get("/v5/evaluations", headers={"x-api-key": key.encode()})
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


async def test_an_account_that_the_key_does_not_open_is_403_and_a_blank_one_is_the_keys_own(api):
    raw = api.served.raw
    for account, status in (("other", 403), ("nowhere", 403), ("default", 200), ("", 200)):
        answer = await raw.get("/v5/evaluations", headers={"x-selected-account-id": account})
        assert answer.status_code == status, account
    created = await api.create()
    assert (await api.served.stranger.get(f"/v5/evaluations/{created['id']}")).status_code == 404


async def test_unknown_paths_and_methods_answer_in_the_envelope(api):
    raw = api.served.raw
    missing = await raw.get("/v5/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (await raw.get("/v5/evaluations/")).status_code == 404, "no redirects"
    refused = await raw.put("/v5/evaluations")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
    assert refused.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v5/agent_configs", "/v5/responses", "/v5/files/cloud_imports", "/v5/builds/x/y"])
async def test_what_is_left_out_is_501_and_never_repeated(api, path):
    answer = await api.served.raw.post(path)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")
    assert answer.json()["code"] == "not_offered"


async def test_addresses_with_nul_are_refused_before_any_route(api):
    for path, status, named in (
        ("/v5/evaluations/a%00b", 422, "path"),
        ("/v5/evaluations?name=%00", 422, "name"),
        ("/v5/evaluation-items?starting_after=a%00", 422, "starting_after"),
    ):
        answer = await api.served.raw.get(path)
        assert answer.status_code == status, path
        assert named in answer.text


async def test_a_body_over_the_limit_is_413_whether_or_not_it_says_its_size(api):
    settings = Settings(max_body_bytes=2000)
    small = build_api(_services(api), settings)
    for headers in ([(b"content-length", b"2001")], []):
        status, body = await _send(small, [b"x" * 500] * 5, [*headers, _key(api)])
        assert (status, body["code"]) == (413, "too_large")
    status, body = await _send(small, [b"x" * 500] * 3, [_key(api)])
    assert (status, body["detail"][0]["type"]) == (422, "json_invalid")


async def test_a_body_far_over_the_limit_is_not_read_to_its_end(api):
    endless = [b"x" * 500] * 1000
    status, _ = await _send(build_api(_services(api), Settings(max_body_bytes=2000)), endless, [_key(api)])
    assert status == 413
    assert len(endless) > 980


async def test_a_client_that_asks_first_is_refused_before_it_sends(api):
    small = build_api(_services(api), Settings(max_body_bytes=2000))
    headers = [(b"content-length", b"9000"), (b"expect", b"100-continue"), _key(api)]
    status, _ = await _send(small, None, headers)
    assert status == 413


async def test_an_unexpected_error_is_a_500_without_internals_and_its_log_without_its_text(api, capsys):
    class Broken:
        async def list(self, *_arguments, **_more):
            raise ValueError("terces"[::-1])

    services = _services(api, evaluations=Broken())
    status, body = await _send(build_api(services, Settings()), [b""], [_key(api)], method="GET")
    assert status == 500
    assert body["code"] == "internal_error"
    assert "secret" not in json.dumps(body)
    logged = capsys.readouterr()
    assert "ValueError" in logged.out + logged.err
    assert "secret" not in logged.out + logged.err


async def test_the_token_of_an_export_link_is_never_logged(api, capsys):
    class Broken:
        async def open(self, _token):
            raise ValueError

    app = build_api(_services(api, exports=Broken()), Settings())
    status, _ = await _send(app, [b""], [], method="GET", path="/v5/evaluation-items/exports/t0ken.signature")
    assert status == 500
    logged = capsys.readouterr()
    assert "/v5/evaluation-items/exports/..." in logged.out + logged.err
    assert "t0ken" not in logged.out + logged.err


async def test_a_request_id_is_given_back_or_made(api):
    raw = api.served.raw
    given = await raw.get("/healthz", headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = await raw.get("/healthz", headers={"x-request-id": "bad id\u00e9".encode()})
    assert len(made.headers["x-request-id"]) == 36


async def test_the_document_names_every_task_type_by_its_word(api):
    document = (await api.served.raw.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    mapping = schemas["Task"]["discriminator"]["mapping"]
    assert mapping["metric"] == "#/components/schemas/MetricTask"
    assert schemas["MetricTask"]["properties"]["task_type"]["const"] == "metric"
    text = json.dumps(document)
    assert "x-assay-ref" not in text
    for ref in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert ref in schemas, ref
    create = document["paths"]["/v5/evaluations"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/CreateEvaluation")
    assert {"200", "400", "401", "403", "404", "413", "422"} <= set(create["responses"])


async def test_lists_are_split_at_commas_and_collected_over_repeats(api):
    await api.create(name="both", tags=["A", "b"])
    await api.create(name="one", tags=["a"])
    for query in ("tags=a%2Cb", "tags=a&tags=b", "tags=%20a%20,,b"):
        page = (await api.served.raw.get(f"/v5/evaluations?{query}")).json()
        assert [each["name"] for each in page["items"]] == ["both"], query
    assert (await api.served.raw.get("/v5/evaluations?tags=")).json()["total"] == 2
    refused = await api.served.raw.get("/v5/evaluations?views=tasks,nothing")
    assert refused.json()["detail"][0] == {
        "type": "enum",
        "loc": ["query", "views"],
        "msg": "unknown value; there are: tasks",
        "input": "nothing",
    }


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("starting_after=a&ending_before=b", "ending_before"),
        ("sort_by=secret", "sort_by"),
        ("sort_order=up", "sort_order"),
        ("include_archived=perhaps", "include_archived"),
    ],
)
async def test_a_bad_query_parameter_is_422_and_named(api, query, loc):
    answer = await api.served.raw.get(f"/v5/evaluations?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", loc]


async def test_blank_and_null_parameters_count_as_absent_and_an_unknown_cursor_is_400(api):
    raw = api.served.raw
    assert (await raw.get("/v5/evaluations?sort_order=&sort_by=null&starting_after=")).status_code == 200
    assert (await raw.get("/v5/evaluations?starting_after=nobody")).status_code == 400


def _services(api, **replaced) -> ApiServices:
    app = api.served.raw._transport.app
    services: ApiServices = app.state.services
    names = ApiServices.__dataclass_fields__
    return ApiServices(**{**{name: getattr(services, name) for name in names}, **replaced})


def _key(api) -> tuple[bytes, bytes]:
    return (b"x-api-key", api.served.raw.headers["x-api-key"].encode())


async def _send(app, chunks, headers, method="POST", path="/v5/evaluations"):
    """Speak ASGI to an application: `chunks` of a body, or None for a client that waits to be asked for it."""
    waiting = [] if chunks is None else chunks
    sent = []

    async def receive():
        assert chunks is not None, "the body was asked for"
        chunk = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "server": ("assay.test", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body)
