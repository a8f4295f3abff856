"""The vendor's tracing helper, its spans and its files, through its own client against a real server."""

import hashlib
import itertools
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from scale_gp_beta import APIStatusError, BadRequestError, SGPClient
from scale_gp_beta.lib import tracing
from scale_gp_beta.lib.tracing.trace_queue_manager import TraceQueueManager

from tests.fakes.server_process import ServerProcess

PROGRAM = """
from scale_gp_beta import SGPClient
from scale_gp_beta.lib import tracing

tracing.init(SGPClient())
with tracing.create_trace("program", metadata={"run": "RUN"}) as trace:
    for number in range(120):
        with tracing.create_span(f"step {number}", input={"n": number}) as span:
            span.output = {"square": number * number}
"""


@pytest.fixture
def tracer(clients: Any) -> TraceQueueManager:
    """The helper's queue, sent when a test says so; the client in strict mode."""
    return TraceQueueManager(client=clients.strict, worker_enabled=False)


def test_a_traced_program_arrives_whole_each_span_once(strict: SGPClient, server: ServerProcess) -> None:
    run = uuid.uuid4().hex
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SGP", "DISABLE"))},
        "SGP_API_KEY": server.api_key,
        "SGP_ACCOUNT_ID": "default",
        "SGP_CLIENT_BASE_URL": server.base_url,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("RUN", run)], env=environment, capture_output=True, timeout=60, text=True
    )
    assert done.returncode == 0, done.stderr
    (root,) = strict.spans.search(extra_metadata={"run": run})
    spans = list(strict.spans.search(trace_ids=[root.trace_id], limit=50))
    assert len(spans) == len({span.id for span in spans}) == 121
    steps = [span for span in spans if span.parent_id == root.id]
    assert sorted((span.name, span.output) for span in steps) == sorted(
        (f"step {n}", {"square": n * n}) for n in range(120)
    )
    assert all(span.end_timestamp is not None and span.status == "SUCCESS" for span in spans)


def test_a_span_is_sent_while_it_runs_and_again_when_it_ends(strict: SGPClient, tracer: TraceQueueManager) -> None:
    trace = tracing.create_trace("agent", queue_manager=tracer, group_id="g", metadata={"m": 1})
    trace.start()
    tracer.flush_queue()
    (running,) = strict.spans.search(trace_ids=[trace.trace_id])
    assert (running.end_timestamp, running.type) == (None, "TRACER")

    with (
        pytest.raises(ZeroDivisionError),
        tracing.create_span("tool", span_type="CODE_EXECUTION", input={"x": 0}, queue_manager=tracer),
    ):
        _ = 1 / 0
    trace.end()
    tracer.flush_queue()

    root, tool = strict.spans.search(trace_ids=[trace.trace_id])
    assert (root.id, root.group_id, root.metadata) == (running.id, "g", {"m": 1})
    assert root.end_timestamp is not None
    assert (tool.parent_id, tool.status, tool.type, tool.input) == (root.id, "ERROR", "CODE_EXECUTION", {"x": 0})
    assert tool.metadata is not None
    assert tool.metadata["error_type"] == "ZeroDivisionError"


def test_a_late_start_does_not_undo_an_end(strict: SGPClient) -> None:
    start, end, trace = "2026-01-01T00:00:00", "2026-01-01T00:00:02Z", uuid.uuid4().hex
    told: dict[str, Any] = {"id": f"{trace}/s", "name": "s", "trace_id": trace, "start_timestamp": start}
    finished = {**told, "end_timestamp": end, "output": {"done": True}}
    for items in ([finished, told], [told]):
        answer = strict.spans.upsert_batch(items=items)
        assert [(each.id, each.output) for each in answer.items] == [(f"{trace}/s", {"done": True})]
    (stored,) = strict.spans.search(span_ids=[f"{trace}/s"], from_ts=start, to_ts=end, allow_partial_results=True)
    assert stored.start_timestamp.isoformat() == "2026-01-01T00:00:00+00:00"


def test_people_assess_spans(strict: SGPClient) -> None:
    trace = uuid.uuid4().hex
    span = strict.spans.create(name="s", trace_id=trace, start_timestamp="2026-01-01T00:00:00Z")
    rated = strict.span_assessments.create(assessment_type="rating", rating=4, comment="ok", trace_id=trace)
    assert (rated.span_id, rated.rating) == (span.id, 4)
    assert strict.span_assessments.list(span_id=span.id).items == [rated]
    assert [each.id for each in strict.spans.search(trace_ids=[trace], assessment_types=["rating"])] == [span.id]
    assert strict.span_assessments.delete(rated.assessment_id).deleted


def test_files_go_up_and_come_down_and_rows_name_them(client: SGPClient, strict: SGPClient, tmp_path: Path) -> None:
    path = tmp_path / "Büro.csv"
    path.write_text("a,b\n1,2\n")
    file = strict.files.create(file=path)
    assert (file.filename, file.mime_type) == ("Büro.csv", "text/csv")
    assert client.files.content.retrieve(file.id) == "a,b\n1,2\n"
    assert client.files.content.retrieve(strict.files.create(file=b'{"a": 1}').id) == {"a": 1}
    binary = os.urandom(100_000)
    stored = strict.files.create(file=("x.bin", binary))
    assert client.files.content.with_raw_response.retrieve(stored.id).read() == binary

    rows: dict[str, Any] = {"data": [{"n": 1}, {"n": 2}], "files": [{}, {"table": file.id}]}
    alone = strict.evaluations.create(evaluation={"name": "files", **rows})
    shared = strict.evaluations.create(evaluation={"name": "files", **rows, "dataset": {"name": "with files"}})
    again = strict.evaluations.create(evaluation={"name": "files", "dataset_id": shared.datasets[0].id})
    for evaluation in (alone, shared, again):
        items = list(strict.evaluation_items.list(evaluation_id=evaluation.id))
        assert [item.files for item in items] == [None, {"table": file.id}]
    for extra in ({}, {"dataset": {"name": "none"}}):
        with pytest.raises(BadRequestError, match=r"files\.0\.table"):
            strict.evaluations.create(
                evaluation={"name": "none", "data": [{"n": 1}], "files": [{"table": "nobody's"}], **extra}
            )
    assert list(strict.evaluations.list(name="none")) == []


def test_a_file_over_the_limit_and_an_import_are_refused_at_once(clients: Any, server: ServerProcess) -> None:
    with SGPClient(api_key=server.api_key, account_id="default", base_url=server.base_url) as retrying:
        with pytest.raises(APIStatusError) as large:
            retrying.files.create(file=("large", bytes(25 * 1024 * 1024 + 1)))
        with pytest.raises(APIStatusError) as imported:
            retrying.files.import_from_cloud(files=[])
    assert (large.value.status_code, imported.value.status_code) == (413, 501)
    assert imported.value.request.headers["x-stainless-retry-count"] == "0"
    whole = clients.strict.files.create(file=("largest", bytes(25 * 1024 * 1024)))
    assert whole.size == 25 * 1024 * 1024
    clients.strict.files.delete(whole.id)


def test_a_kill_in_the_middle_of_uploads_leaves_no_file_without_its_bytes(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", {})
    server.start()
    acknowledged: dict[str, str] = {}
    numbers = itertools.count()
    killed = threading.Event()

    def upload(_worker: int) -> None:
        with httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}, trust_env=False) as client:
            while not killed.is_set():
                content = bytes([next(numbers) % 251]) * 3_000_000
                try:
                    answer = client.post("/v5/files", files={"file": ("x", content)}, timeout=30)
                except httpx.HTTPError:
                    return
                acknowledged[answer.json()["id"]] = hashlib.md5(content).hexdigest()
                if len(acknowledged) == 8:
                    killed.set()

    with ThreadPoolExecutor(4) as pool:
        uploads = [pool.submit(upload, worker) for worker in range(4)]
        assert killed.wait(60)
        server.kill()
        for each in uploads:
            each.result()
    server.start()
    try:
        with httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}, trust_env=False) as client:
            files = client.get("/v5/files").json()["items"]
            assert set(acknowledged) <= {file["id"] for file in files}
            for file in files:
                content = client.get(f"/v5/files/{file['id']}/content", timeout=30).content
                assert (len(content), hashlib.md5(content).hexdigest()) == (file["size"], file["md5_checksum"])
    finally:
        server.stop()
    assert "Traceback" not in server.log, server.log[-6000:]
