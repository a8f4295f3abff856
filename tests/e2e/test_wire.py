"""The wire, byte by byte: what the official client depends on, asked for with plain requests."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from scale_gp_beta import SGPClient

from tests.builders.wire import finished, metric
from tests.fakes.server_process import ServerProcess, running_server

ROUTES = [
    "/v5/evaluations",
    "/v5/evaluation-items",
    "/v5/evaluation-groups",
    "/v5/datasets",
    "/v5/dataset-items",
]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def create(raw: httpx.Client, name: str = "wire", **more: Any) -> dict[str, Any]:
    answer = raw.post("/v5/evaluations", json={"name": name, "data": [{"a": "b"}], **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def tagged(clients: Any) -> str:
    """A name shared by three evaluations tagged a, then a and b, then b and c."""
    name = f"tagged {uuid.uuid4().hex}"
    for tags in (["a"], ["a", "b"], ["b", "c"]):
        create(clients.raw, name, tags=tags)
    return name


def tags_found(raw: httpx.Client, name: str, query: str) -> list[list[str]]:
    answer = raw.get(f"/v5/evaluations?name={name.replace(' ', '+')}{query}")
    assert answer.status_code == 200, answer.text
    return [item["tags"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("&tags=a%2Cb", [["a", "b"]]),
        ("&tags=a,b", [["a", "b"]]),
        ("&tags=a&tags=b", [["a", "b"]]),
        ("&tags=+a+%2C%2C+b+", [["a", "b"]]),
        ("&tags=B", [["a", "b"], ["b", "c"]]),
        ("&tags=", [["a"], ["a", "b"], ["b", "c"]]),
        ("", [["a"], ["a", "b"], ["b", "c"]]),
        ("&tags=a%2Cc", []),
    ],
)
def test_lists_in_queries_are_one_comma_joined_value(
    raw: httpx.Client, tagged: str, query: str, expected: list[list[str]]
) -> None:
    assert tags_found(raw, tagged, query) == expected


@pytest.mark.parametrize("route", ROUTES)
def test_every_list_is_a_page(raw: httpx.Client, route: str) -> None:
    answer = raw.get(route)

    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    page = answer.json()
    assert page["object"] == "list"
    assert isinstance(page["items"], list)
    assert isinstance(page["total"], int)
    assert page["total"] >= len(page["items"])
    assert isinstance(page["has_more"], bool)
    assert page["limit"] == 100


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("limit=0", 422, "limit"),
        ("limit=-1", 422, "limit"),
        ("limit=1000000", 422, "limit"),
        ("limit=ten", 422, "limit"),
        ("limit=1e3", 422, "limit"),
        ("limit=99999999999999999999999", 422, "limit"),
        ("sort_order=sideways", 422, "sort_order"),
        ("sort_by=no_such_column", 422, "sort_by"),
        ("sort_by=data%27%3B--", 422, "sort_by"),
        ("starting_after=unknown", 400, "starting_after"),
        ("ending_before=unknown", 400, "ending_before"),
        ("starting_after=%00", 422, "NUL"),
        ("starting_after=a&ending_before=b", 422, ""),
        ("include_archived=perhaps&include_deleted=perhaps", 422, "include_"),
    ],
)
def test_bad_queries_name_the_parameter(raw: httpx.Client, route: str, query: str, status: int, named: str) -> None:
    answer = raw.get(f"{route}?{query}")

    assert answer.status_code == status, answer.text
    assert named in answer.text
    assert "detail" in answer.json()


@pytest.mark.parametrize("route", ROUTES)
def test_parameters_sent_empty_or_null_are_as_if_absent(raw: httpx.Client, route: str) -> None:
    assert raw.get(f"{route}?sort_order=asc&limit=5").status_code == 200
    if route in {"/v5/evaluations", "/v5/datasets", "/v5/evaluation-groups"}:
        assert raw.get(f"{route}?name=&tags=").json()["total"] == raw.get(route).json()["total"]


def test_unknown_views_are_refused(raw: httpx.Client) -> None:
    assert raw.get("/v5/evaluations?views=tasks").status_code == 200
    assert raw.get("/v5/evaluations?views=tasks%2Cnonsense").status_code == 422
    assert raw.get("/v5/evaluation-groups?views=members%2Crow_identifiers").status_code == 200
    assert raw.get("/v5/evaluation-groups?views=nonsense").status_code == 422


def test_the_body_is_the_bare_object_and_a_wrapped_one_is_taken_too(raw: httpx.Client) -> None:
    assert create(raw, "bare")["name"] == "bare"

    wrapped = raw.post("/v5/evaluations", json={"evaluation": {"name": "wrapped", "data": [{"a": 1}]}})

    assert wrapped.status_code == 200, wrapped.text
    assert wrapped.json()["name"] == "wrapped"


def test_unknown_keys_in_a_body_are_ignored(raw: httpx.Client) -> None:
    assert create(raw, "extra", something_new={"x": 1})["name"] == "extra"


def test_absent_null_and_value_are_three_things(raw: httpx.Client) -> None:
    made = create(raw, description="first", metadata={"a": 1})
    path = f"/v5/evaluations/{made['id']}"

    assert raw.patch(path, json={"tags": ["x"]}).json()["description"] == "first"
    assert raw.patch(path, json={"description": None}).json()["description"] is None
    assert raw.patch(path, json={"description": "second"}).json()["description"] == "second"
    assert raw.patch(path, json={"name": None}).status_code == 422
    assert raw.patch(path, json={"restore": False}).status_code == 422
    assert raw.patch(path, json={}).status_code in {200, 400}
    assert raw.get(path).json()["name"] == "wire"


def test_a_bodyless_delete_may_say_that_it_is_json(raw: httpx.Client) -> None:
    made = create(raw)

    answer = raw.request(
        "DELETE",
        f"/v5/evaluations/{made['id']}",
        headers={"content-type": "application/json", "content-length": "0"},
    )

    assert answer.status_code == 200
    assert answer.json()["archived_at"]


@pytest.mark.parametrize("alias", ["my alias/ü", "a%2Fb", "..", "a/../b", "tasks", "?#&=+", "100%", " "])
def test_an_alias_in_a_path_is_any_text(raw: httpx.Client, client: SGPClient, alias: str) -> None:
    made = create(raw, tasks=[metric("f1", "a", "a", alias=alias)])
    finished(client, made["id"])
    escaped = quote(alias, safe="").replace(".", "%2E")
    path = f"/v5/evaluations/{made['id']}/tasks/{escaped}"

    refused = raw.patch(path, json={"configuration": {"type": "x"}})
    taken = raw.patch(path, json={"configuration": {"type": "bleu", "candidate": "item.a", "reference": "item.a"}})

    assert refused.status_code == 422, refused.text
    assert taken.status_code == 200, taken.text


@pytest.mark.parametrize("prefix", ["", "/public"])
def test_the_same_api_answers_under_public(raw: httpx.Client, prefix: str) -> None:
    assert raw.get(f"{prefix}/v5/evaluations").status_code == 200
    assert raw.get(f"{prefix}/v5/evaluations/{uuid.uuid4()}").status_code == 404


def test_health_needs_no_key(server: ServerProcess) -> None:
    assert httpx.get(f"{server.base_url}/healthz", trust_env=False).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_redirects_or_answers_without_a_key(server: ServerProcess, route: str) -> None:
    for method in ("GET", "POST"):
        for headers in ({}, {"x-api-key": ""}, {"x-api-key": "wrong"}, {"x-api-key": "k\x80".encode("latin-1")}):
            answer = httpx.request(method, server.base_url + route, headers=headers, trust_env=False)  # type: ignore[arg-type]
            assert answer.status_code in {401, 405}, (method, headers, answer.text)
            if answer.status_code == 401:
                assert isinstance(answer.json()["detail"], str)


def test_the_account_header_is_optional_and_checked(raw: httpx.Client) -> None:
    for headers, status in [
        ({}, 200),
        ({"x-selected-account-id": "default"}, 200),
        ({"x-selected-account-id": "another"}, 403),
        ({"x-selected-account-id": "DEFAULT"}, 403),
    ]:
        assert raw.get("/v5/evaluations", headers=headers).status_code == status, headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v5/vector-stores"),
        ("POST", "/v5/builds"),
        ("POST", "/v5/credentials"),
        ("POST", "/v5/agentex/deployments"),
        ("GET", "/v5/agent_configs"),
    ],
)
def test_what_assay_leaves_out_is_said_so_and_not_tried_again(raw: httpx.Client, method: str, path: str) -> None:
    answer = raw.request(method, path)

    assert answer.status_code == 501
    assert answer.headers["x-should-retry"] == "false"
    assert isinstance(answer.json()["detail"], str)


def test_unknown_paths_and_methods_are_json_too(raw: httpx.Client) -> None:
    for method, path, status in [
        ("GET", "/v5/nonsense", 404),
        ("GET", "/nonsense", 404),
        ("PUT", "/v5/evaluations", 405),
        ("GET", "/v5/evaluations/%00", 422),
        ("GET", "/v5/evaluations/" + "x" * 5000, 404),
        ("GET", "/v5/evaluations/%FF%FE", 404),
    ]:
        answer = raw.request(method, path)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"].startswith("application/json")
        assert "detail" in answer.json()


def every_time(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from every_time(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from every_time(inner, name)
    elif name.endswith("_at") and value is not None:
        yield value


@pytest.mark.parametrize("route", ROUTES)
def test_times_carry_their_zone_and_tags_are_lists(raw: httpx.Client, route: str) -> None:
    made = create(raw, dataset={"name": "d"})
    raw.post("/v5/evaluation-groups", json={"name": "g", "evaluation_ids": [made["id"]]})

    page = raw.get(f"{route}?sort_order=desc&limit=20").json()

    assert page["items"]
    times = list(every_time(page))
    assert times
    assert all(TIME.fullmatch(time) for time in times), times
    assert all(isinstance(item["tags"], list) for item in page["items"] if "tags" in item)


def test_numbers_and_text_come_back_as_they_went(raw: httpx.Client) -> None:
    row = {
        "big": 2**53 - 1,
        "float": 0.1,
        "exp": 1e-300,
        "zero": 0,
        "unicode": "\U0001d4b3\u2028é\U0001f600",
        "empty": {},
        "list": [],
        "nested": [[{"a": None}]],
        "bool": False,
        "a.b": {"c": 1},
        "id": "own id",
        "data": {"x": 1},
        "object": 7,
        "created_at": "yesterday",
    }
    answer = raw.post("/v5/evaluations", json={"name": "types", "data": [row]})
    assert answer.status_code == 200, answer.text

    page = raw.get(f"/v5/evaluation-items?evaluation_id={answer.json()['id']}").json()

    assert page["items"][0]["data"] == row
    assert list(page["items"][0]["data"]) == list(row)
    assert page["items"][0]["object"] == "evaluation.item"


def test_group_members_are_what_the_request_tells_that_its_client_knows(raw: httpx.Client) -> None:
    made = create(raw, tags=["t"], metadata={"m": 1})
    group = raw.post(
        "/v5/evaluation-groups", json={"name": "both", "evaluation_ids": [made["id"]], "metadata": {"k": 1}}
    ).json()

    def listed(query: str) -> dict[str, Any]:
        return dict(raw.get(f"/v5/evaluation-groups?sort_order=desc&limit=1{query}").json()["items"][0])

    for shown in (group, listed(""), listed("&views=members"), raw.get(f"/v5/evaluation-groups/{group['id']}").json()):
        assert shown["metadata"] == shown["evaluation_group_metadata"] == {"k": 1}
        (member,) = shown["members"]
        assert member["id"] == made["id"]
        for key in ("name", "description", "created_by", "tags", "datasets", "status", "progress", "metadata"):
            assert member[key] == made[key], key
    seed, newer = listed("")["members"][0], listed("&views=members%2Crow_identifiers")["members"][0]
    assert seed["object"] == "evaluation"
    assert newer["object"] == "evaluation_group.member"
    assert (newer["evaluation_id"], newer["evaluation_group_id"]) == (made["id"], group["id"])


def test_the_document_describes_every_route(raw: httpx.Client) -> None:
    document = raw.get("/openapi.json")

    assert document.status_code == 200
    paths = json.loads(document.text)["paths"]
    for route in [*ROUTES, "/v5/evaluation-items/export", "/v5/evaluations/tasks/dry-run"]:
        assert route in paths
    assert not [path for path in paths if path.startswith("/public")]


def test_the_clients_local_environment_needs_no_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    import socket

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 5003)) == 0:
            pytest.skip("port 5003 is in use here")
    data_dir = tmp_path_factory.mktemp("local") / "data"
    with (
        running_server(data_dir, port=5003) as server,
        SGPClient(api_key=server.api_key, account_id="default", environment="local") as client,
    ):
        made = client.evaluations.create(evaluation={"name": "local", "data": [{"a": 1}]})
        assert client.evaluations.retrieve(made.id).name == "local"
