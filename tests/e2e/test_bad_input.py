"""Whatever is malformed gets a 4xx that names what was wrong, and leaves nothing behind."""

import contextlib
import json
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.builders.wire import chat, eventually, function, metric
from tests.fakes.server_process import ASSAY, ServerProcess, clean_environment

LIMIT = 400_000
GOOD = {"name": "n", "data": [{"a": "x", "b": "y"}]}
F1 = metric("f1", "a", "b")


@pytest.fixture(scope="module")
def server_environment() -> dict[str, str]:
    return {"ASSAY_MAX_BODY_BYTES": str(LIMIT), "ASSAY_EXPORT_LINK_SECONDS": "1"}


def totals(raw: httpx.Client) -> dict[str, int]:
    """How much is stored, archived things too."""
    return {
        route: raw.get(f"/v5/{route}?limit=1&{hidden}=true").json()["total"]
        for route, hidden in [
            ("evaluations", "include_archived"),
            ("evaluation-items", "include_archived"),
            ("evaluation-groups", "include_deleted"),
            ("datasets", "include_archived"),
            ("dataset-items", "include_archived"),
        ]
    }


@pytest.fixture
def unchanged(raw: httpx.Client) -> Iterator[None]:
    """Nothing is written by what happens in the test."""
    before = totals(raw)
    yield
    assert totals(raw) == before


def evaluation(**changes: Any) -> dict[str, Any]:
    """A good body with some keys replaced; `...` removes one."""
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}


def task(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An evaluation with one task whose configuration has some keys replaced; `...` removes one."""
    configuration = {key: value for key, value in {**base["configuration"], **changes}.items() if value is not ...}
    return evaluation(tasks=[{**base, "configuration": configuration}])


CHAT = chat("item.a", alias="c")
SOURCE = "def f(a):\n    return 1\n"
FUNCTION = function(SOURCE)

REFUSED: dict[str, tuple[Any, str]] = {
    # The evaluation itself
    "no name": (evaluation(name=...), "name"),
    "null name": (evaluation(name=None), "name"),
    "number name": (evaluation(name=1), "name"),
    "list name": (evaluation(name=["n"]), "name"),
    "no data": (evaluation(data=...), "data"),
    "null data": (evaluation(data=None), "data"),
    "empty data": (evaluation(data=[]), "data"),
    "object data": (evaluation(data={"a": 1}), "data"),
    "text data": (evaluation(data="rows"), "data"),
    "row of text": (evaluation(data=[{"a": 1}, "x"]), "data"),
    "null row": (evaluation(data=[None]), "data"),
    "row of a list": (evaluation(data=[[["a", 1]]]), "data"),
    "number description": (evaluation(description=1), "description"),
    "text tags": (evaluation(tags="a,b"), "tags"),
    "number tag": (evaluation(tags=[1]), "tags"),
    "null tag": (evaluation(tags=[None]), "tags"),
    "list metadata": (evaluation(metadata=[]), "metadata"),
    "text metadata": (evaluation(metadata="{}"), "metadata"),
    "text skip": (evaluation(skip_prefilled_rows="yes"), "skip_prefilled_rows"),
    "list taxonomy": (evaluation(taxonomy_params=[]), "taxonomy_params"),
    "files of another length": (evaluation(files=[{}, {}]), "files"),
    "object files": (evaluation(files={"a": "b"}), "files"),
    "both datasets": (evaluation(dataset_id="x", dataset={"name": "d"}), "dataset"),
    "number dataset id": (evaluation(dataset_id=1, data=...), "dataset_id"),
    "text dataset": (evaluation(dataset="d"), "dataset"),
    "nameless dataset": (evaluation(dataset={}), "dataset"),
    "text dataset keys": (evaluation(dataset={"name": "d", "keys": "a"}), "keys"),
    # Its tasks
    "object tasks": (evaluation(tasks=F1), "tasks"),
    "text task": (evaluation(tasks=["f1"]), "tasks"),
    "null task": (evaluation(tasks=[None]), "tasks"),
    "typeless task": (evaluation(tasks=[{"configuration": {}}]), "task_type"),
    "number type": (evaluation(tasks=[{**F1, "task_type": 3}]), "task_type"),
    "unknown type": (evaluation(tasks=[{**F1, "task_type": "no_such_task"}]), "no_such_task"),
    "no configuration": (evaluation(tasks=[{"task_type": "metric"}]), "configuration"),
    "text configuration": (evaluation(tasks=[{**F1, "configuration": "f1"}]), "configuration"),
    "number alias": (evaluation(tasks=[{**F1, "alias": 1}]), "alias"),
    "empty alias": (evaluation(tasks=[{**F1, "alias": ""}]), "alias"),
    "same alias twice": (evaluation(tasks=[{**F1, "alias": "s"}, {**CHAT, "alias": "s"}]), "alias"),
    "same default twice": (evaluation(tasks=[F1, metric("f1", "b", "a")]), "alias"),
    "an output named like a task": (
        evaluation(tasks=[F1, function(SOURCE, outputs=[{"path": "x", "alias": "f1"}])]),
        "f1",
    ),
    "the same output twice": (
        evaluation(tasks=[function(SOURCE, outputs=[{"path": "x"}, {"path": "y", "alias": "x"}])]),
        "x",
    ),
    "a cycle of one": (evaluation(tasks=[metric("f1", "m", "a", alias="m")]), "m"),
    "a cycle of two": (
        evaluation(tasks=[metric("f1", "q", "a", alias="p"), metric("f1", "p", "a", alias="q")]),
        "p",
    ),
    "a cycle through a template": (
        evaluation(tasks=[chat("about {{item.r}}", alias="p"), metric("f1", "p", "a", alias="r")]),
        "p",
    ),
    # Metrics
    "unknown metric": (task(F1, type="perplexity"), "type"),
    "number metric": (task(F1, type=1), "type"),
    "typeless metric": (task(F1, type=...), "type"),
    "no candidate": (task(F1, candidate=...), "candidate"),
    "null candidate": (task(F1, candidate=None), "candidate"),
    "unknown column": (task(F1, candidate="item.nowhere"), "candidate"),
    "candidate without item": (task(F1, candidate="a"), "candidate"),
    "list reference": (task(F1, reference=["item.b"]), "reference"),
    # Chats
    "no model": (task(CHAT, model=...), "model"),
    "number model": (task(CHAT, model=7), "model"),
    "model without vendor": (task(CHAT, model="gpt"), "model"),
    "unknown vendor": (task(CHAT, model="nobody/gpt"), "model"),
    "no messages": (task(CHAT, messages=...), "messages"),
    "text messages": (task(CHAT, messages="hello"), "messages"),
    "empty messages": (task(CHAT, messages=[]), "messages"),
    "message of text": (task(CHAT, messages=["hi"]), "messages"),
    "unknown column in a template": (task(CHAT, messages=[{"role": "user", "content": "{{item.zz}}"}]), "item.zz"),
    "text temperature": (task(CHAT, temperature="hot"), "temperature"),
    "text n": (task(CHAT, n="two"), "n"),
    "fraction of a token": (task(CHAT, max_tokens=1.5), "max_tokens"),
    "list logit bias": (task(CHAT, logit_bias=[1]), "logit_bias"),
    # Functions
    "no source": (task(FUNCTION, function_source=...), "function_source"),
    "number source": (task(FUNCTION, function_source=1), "function_source"),
    "broken source": (task(FUNCTION, function_source="def f(:"), "function_source"),
    "deep source": (task(FUNCTION, function_source="def f(a):\n return " + "(" * 5000 + "1" + ")" * 5000), "function"),
    "list mapping": (task(FUNCTION, arg_mapping=["a"]), "arg_mapping"),
    "number in mapping": (task(FUNCTION, arg_mapping={"a": 1}), "arg_mapping"),
    "unknown column in mapping": (task(FUNCTION, arg_mapping={"a": "item.zz"}), "arg_mapping"),
    "unknown parameter in mapping": (task(FUNCTION, arg_mapping={"a": "item.a", "zz": "item.a"}), "zz"),
    "parameter without a value": (task(FUNCTION, function_source="def f(zz):\n    return 1\n"), "zz"),
    "long config args": (task(FUNCTION, config_args={"a": "x" * 10_001}), "config_args"),
    "text config args": (task(FUNCTION, config_args="a"), "config_args"),
    "text outputs": (task(FUNCTION, outputs="a"), "outputs"),
    "pathless output": (task(FUNCTION, outputs=[{"alias": "a"}]), "outputs"),
    # Text that could take long to read
    "a locator of fifty thousand steps": (task(F1, candidate="item." + "z." * 50_000 + "z"), "candidate"),
    "endless placeholders": (task(CHAT, messages=[{"role": "user", "content": "{{item.z " * 30_000 + "}}"}]), "item.z"),
    # Inference
    "no inference model": (evaluation(tasks=[{"task_type": "inference", "configuration": {}}]), "model"),
    "text retries": (
        evaluation(
            tasks=[
                {
                    "task_type": "inference",
                    "configuration": {"model": "fake/x", "inference_configuration": {"num_retries": "two"}},
                }
            ]
        ),
        "num_retries",
    ),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_evaluation_is_refused_and_not_made(raw: httpx.Client, case: str) -> None:
    body, named = REFUSED[case]

    answer = raw.post("/v5/evaluations", json=body)

    assert answer.status_code in {400, 422}, (answer.status_code, answer.text)
    assert named in answer.text
    assert "detail" in answer.json()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("route", "body", "named"),
    [
        ("datasets", {"data": [{"a": 1}]}, "name"),
        ("datasets", {"name": "d"}, "data"),
        ("datasets", {"name": "d", "data": []}, "data"),
        ("datasets", {"name": "d", "data": [1]}, "data"),
        ("datasets", {"name": 1, "data": [{"a": 1}]}, "name"),
        ("datasets", {"name": "d", "data": [{"a": 1}], "files": [{}, {}]}, "files"),
        ("datasets", {"name": "d", "data": [{"a": 1}], "tags": "x"}, "tags"),
        ("dataset-items/batch", {"data": [{"a": 1}]}, "dataset_id"),
        ("dataset-items/batch", {"dataset_id": str(uuid.uuid4())}, "data"),
        ("dataset-items/batch", {"dataset_id": 7, "data": [{"a": 1}]}, "dataset_id"),
        ("evaluation-groups", {"name": "g"}, "evaluation_ids"),
        ("evaluation-groups", {"name": "g", "evaluation_ids": []}, "evaluation_ids"),
        ("evaluation-groups", {"name": "g", "evaluation_ids": "a"}, "evaluation_ids"),
        ("evaluation-groups", {"name": "g", "evaluation_ids": [1]}, "evaluation_ids"),
        ("evaluation-groups", {"name": "x" * 129, "evaluation_ids": ["a"]}, "name"),
        ("evaluation-groups", {"evaluation_ids": ["a"]}, "name"),
        ("evaluation-items/export", {}, "evaluation_id"),
        ("evaluation-items/export", {"evaluation_id": 1}, "evaluation_id"),
        ("evaluation-items/export", {"evaluation_id": "x", "export_format": "xml"}, "export_format"),
        ("evaluation-items/export", {"evaluation_id": "x", "export_method": "mail"}, "export_method"),
        ("evaluations/tasks/dry-run", {}, "task_type"),
        ("evaluations/tasks/dry-run", {**FUNCTION, "sample_data": 1}, "sample_data"),
        ("evaluations/tasks/dry-run", {**FUNCTION, "sample_data": ["a"]}, "sample_data"),
        ("evaluations/tasks/dry-run", {"task_type": "custom_function", "sample_data": [{}]}, "configuration"),
    ],
)
def test_other_malformed_bodies_are_refused_and_write_nothing(
    raw: httpx.Client, route: str, body: Any, named: str
) -> None:
    answer = raw.post(f"/v5/{route}", json=body)

    assert answer.status_code in {400, 422}, (answer.status_code, answer.text)
    assert named in answer.text


RAW_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "space": b"   ",
    "null": b"null",
    "a list": b"[]",
    "text": b'"name"',
    "a number": b"1",
    "half": b'{"name": "n", "data": [{"a"',
    "two values": b"{} {}",
    "trailing comma": b'{"name": "n",}',
    "single quotes": b"{'name': 'n'}",
    "nan": b'{"name": "n", "data": [{"a": NaN}]}',
    "infinity": b'{"name": "n", "data": [{"a": Infinity}]}',
    "minus infinity": b'{"name": "n", "data": [{"a": -Infinity}]}',
    "overflowing number": b'{"name": "n", "data": [{"a": 1e999}]}',
    "thousands of digits": b'{"name": "n", "data": [{"a": ' + b"9" * 5000 + b"}]}",
    "invalid utf-8": b'{"name": "\xff\xfe", "data": [{"a": 1}]}',
    "overlong utf-8": b'{"name": "\xc0\x80", "data": [{"a": 1}]}',
    "utf-16": '{"name": "n", "data": [{"a": 1}]}'.encode("utf-16"),
    "lone surrogate": b'{"name": "\\ud800", "data": [{"a": 1}]}',
    "nul": b'{"name": "a\\u0000b", "data": [{"a": 1}]}',
    "nul in a row": b'{"name": "n", "data": [{"a": "\\u0000"}]}',
    "deep lists": b'{"name": "n", "data": [{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}]}",
    "deep objects": b'{"name": "n", "data": [' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"]}",
    "deep and unclosed": b"[" * 100_000,
    "deep metadata": b'{"name":"n","data":[{"a":1}],"metadata":' + b'{"m":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    "form": b"name=n&data=1",
    "gzip": b"\x1f\x8b\x08\x00",
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("case", RAW_BODIES)
@pytest.mark.parametrize("route", ["evaluations", "datasets", "evaluation-groups", "evaluation-items/export"])
def test_bytes_that_are_no_good_json_are_refused(raw: httpx.Client, route: str, case: str) -> None:
    answer = raw.post(f"/v5/{route}", content=RAW_BODIES[case], headers={"content-type": "application/json"})

    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert len(answer.content) < 20_000
    assert "detail" in answer.json()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_body_over_the_limit_is_413(raw: httpx.Client, declared: bool) -> None:
    body = json.dumps(evaluation(data=[{"a": "x" * LIMIT}])).encode()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    answer = raw.post("/v5/evaluations", content=body if declared else pieces())

    assert answer.status_code == 413
    assert str(LIMIT) in answer.text


@pytest.mark.usefixtures("unchanged")
def test_a_body_far_over_the_limit_is_not_kept(server: ServerProcess) -> None:
    before = server.weigh().resident
    lines = ["POST /v5/evaluations HTTP/1.1", "host: x", f"x-api-key: {server.api_key}", "content-length: 99999999999"]
    head = "\r\n".join([*lines, "", ""])

    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode())
        with contextlib.suppress(OSError):
            for _ in range(1_000):
                connection.sendall(b"x" * 65_536)
        assert server.weigh().resident - before < 30_000_000

    assert server.healthy()


def test_updates_that_are_malformed_change_nothing(raw: httpx.Client) -> None:
    made = raw.post("/v5/evaluations", json=evaluation(name="kept", metadata={"a": 1}, tags=["t"])).json()
    path = f"/v5/evaluations/{made['id']}"
    before = raw.get(path).json()

    for change in (
        {"name": 1},
        {"name": None},
        {"name": "changed", "tags": "x"},
        {"name": "changed", "metadata": []},
        {"tags": [1]},
        {"tags": None, "name": 3},
        {"restore": "true"},
        {"restore": False},
        {"description": {}},
        [],
        "x",
    ):
        answer = raw.patch(path, json=change)
        assert answer.status_code in {400, 422}, (change, answer.text)
    assert raw.patch(path, content=b"{", headers={"content-type": "application/json"}).status_code == 422

    assert raw.get(path).json() == before
    raw.delete(path)


@pytest.fixture(autouse=True, scope="module")
def _settled(clients: Any) -> None:
    """One evaluation that tests may look at."""
    assert clients.raw.post("/v5/evaluations", json=GOOD).status_code == 200


def test_a_signed_link_expires(raw: httpx.Client) -> None:
    evaluation_id = raw.get("/v5/evaluations?limit=1").json()["items"][0]["id"]
    link = raw.post("/v5/evaluation-items/export", json={"evaluation_id": evaluation_id}).json()["signed_url"]

    assert httpx.get(link, trust_env=False).status_code == 200
    time.sleep(2.1)
    answer = httpx.get(link, trust_env=False)
    assert answer.status_code in {400, 403, 404, 410}
    assert "expired" in answer.text


def test_a_name_may_be_long_but_not_endless_and_any_text(raw: httpx.Client) -> None:
    for name in ("é" * 100, "'; DROP TABLE evaluations; --", "%_", "a\nb", "<script>"):
        answer = raw.post("/v5/evaluations", json=evaluation(name=name))
        assert answer.status_code == 200
        assert answer.json()["name"] == name
    assert raw.get("/v5/evaluations", params={"name": "%_"}).json()["total"] == 1
    assert raw.get("/v5/evaluations", params={"name": "'"}).json()["total"] == 1


def assay_keys(server: ServerProcess, *arguments: str) -> str:
    home = server.data_dir.with_name("keys-home")
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(ASSAY), "keys", *arguments, "--data-dir", str(server.data_dir)],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_revoked_key_is_refused_within_seconds(server: ServerProcess, raw: httpx.Client) -> None:
    secret = assay_keys(server, "create", "short-lived").strip()
    assert raw.get("/v5/evaluations", headers={"x-api-key": secret}).status_code == 200
    listed = assay_keys(server, "list")
    assert secret not in listed
    assert "short-lived" in listed
    key_id = next(
        word
        for line in listed.splitlines()
        if "short-lived" in line
        for word in re.findall(r"[\w-]+", line)
        if len(word) == 36
    )

    assay_keys(server, "revoke", key_id)

    eventually(
        lambda: raw.get("/v5/evaluations", headers={"x-api-key": secret}).status_code,
        lambda status: status == 401,
        timeout=5,
    )
    assert raw.get("/v5/evaluations").status_code == 200
