"""Kill -9 at any moment: the evaluation finishes by itself, nothing is lost, nothing done twice, no call repeated."""

import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders.wire import chat, eventually, function, metric, standalone
from tests.fakes.model_endpoint import Call, EndpointProcess
from tests.fakes.server_process import ServerProcess, fake_vendor

ITEMS = 2_000
KILLS = 5
LATENCY = 0.1
CONCURRENCY = 40
STORED_WITHIN = 0.5
"""Seconds after which an answer must have been stored, so that no kill makes it be asked for again."""

LENGTH = "def length(answer):\n    return len(answer)\n"


@pytest.fixture
def endpoint() -> Iterator[EndpointProcess]:
    with EndpointProcess(latency=LATENCY) as process:
        yield process


@pytest.fixture
def server(endpoint: EndpointProcess, tmp_path: Path) -> Iterator[ServerProcess]:
    environment = {**fake_vendor(endpoint.url), "ASSAY_VENDORS__FAKE__CONCURRENCY": str(CONCURRENCY)}
    process = ServerProcess(tmp_path / "data", environment)
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log, process.log[-6000:]


def ask(server: ServerProcess, method: str, path: str, **more: Any) -> Any:
    """One request with the server's key; the answer's JSON."""
    answer = httpx.request(
        method, server.base_url + path, headers={"x-api-key": server.api_key}, timeout=30, trust_env=False, **more
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def create(server: ServerProcess, count: int) -> str:
    """An evaluation of a chat, a metric on its answer and a function on its answer; its id."""
    rows = [{"question": f"question {place} of {count}", "place": place} for place in range(count)]
    tasks = [chat(alias="answer"), metric("exact_match", "answer", "question"), function(LENGTH)]
    return str(ask(server, "POST", "/v5/evaluations", json=standalone(rows, *tasks))["id"])


def finished(server: ServerProcess, evaluation_id: str, timeout: float = 90) -> Any:
    return eventually(
        lambda: ask(server, "GET", f"/v5/evaluations/{evaluation_id}"),
        lambda found: found["status"] != "running",
        timeout,
    )


def all_items(server: ServerProcess, evaluation_id: str) -> list[dict[str, Any]]:
    page = ask(server, "GET", f"/v5/evaluation-items?evaluation_id={evaluation_id}&limit=10000")
    assert not page["has_more"]
    return list(page["items"])


def check_items(items: list[dict[str, Any]], count: int) -> None:
    """Every item is there once, in order, with each of its results."""
    assert [item["data"]["place"] for item in items] == list(range(count))
    for item in items:
        question = f"question {item['data']['place']} of {count}"
        assert item["data"]["answer"] == question
        assert item["data"]["exact_match"] == 1
        assert item["data"]["length"] == len(question)
        assert set(item["task_result_statuses"].values()) == {"completed"}


class ProgressWatch(threading.Thread):
    """Asks for an evaluation's progress over and over, whether or not a server is there."""

    def __init__(self, server: ServerProcess, evaluation_id: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, int, int]] = []
        self._stop_asking = threading.Event()
        self._url = f"{server.base_url}/v5/evaluations/{evaluation_id}"
        self._headers = {"x-api-key": server.api_key}

    def run(self) -> None:
        with httpx.Client(headers=self._headers, trust_env=False, timeout=5) as client:
            while not self._stop_asking.wait(0.02):
                try:
                    answer = client.get(self._url)
                except httpx.HTTPError:
                    continue
                assert answer.status_code == 200, answer.text
                items = answer.json()["progress"]["items"]
                self.seen.append((items["successful"] + items["failed"], items["pending"], items["total"]))

    def stop(self) -> None:
        self._stop_asking.set()
        self.join(10)


def life_of(call: Call) -> int:
    """Which life of the server made a call, from 1: what a killed one had sent may be noted after its death."""
    return int(call.key)


def repeated_without_need(calls: list[Call], kills: list[float]) -> list[tuple[str, float]]:
    """Calls that were made again by the same life of the server, or by a later one though their answer was older
    than STORED_WITHIN when the life that made them was killed. `kills` are the ends of the lives, in order."""
    needless = []
    for before, after in _pairs(calls):
        if life_of(before) == life_of(after):
            needless.append((before.message, 0.0))
            continue
        had = kills[life_of(before) - 1] - (before.at + LATENCY)
        if had > STORED_WITHIN:
            needless.append((before.message, had))
    return needless


@pytest.mark.slow
def test_five_kills_in_one_run_lose_and_repeat_nothing(server: ServerProcess, endpoint: EndpointProcess) -> None:
    moments = random.Random(20261121)
    evaluation_id = create(server, ITEMS)
    watch = ProgressWatch(server, evaluation_id)
    watch.start()
    kills: list[float] = []
    restarts: list[float] = []
    most_processes = 0

    for place in range(KILLS):
        since = server.started_at
        if place != 2:  # the third kill comes as soon as the server is up, while it takes up the work
            eventually(lambda since=since: endpoint.calls(since), bool, 20)  # type: ignore[misc]
            time.sleep(moments.uniform(0.05, 0.9))
        most_processes = max(most_processes, server.weigh().processes)
        assert ask(server, "GET", f"/v5/evaluations/{evaluation_id}")["status"] == "running", "finished too early"
        server.kill()
        kills.append(server.killed_at)
        server.start()
        restarts.append(server.started_at)
        eventually(server.survivors, lambda found: not found, 5)

    done = finished(server, evaluation_id)
    watch.stop()

    assert done["status"] == "completed"
    assert done["error_count"] == 0
    counters = done["progress"]["items"]
    assert (counters["total"], counters["successful"], counters["failed"]) == (ITEMS, ITEMS, 0)
    check_items(all_items(server, evaluation_id), ITEMS)

    progress = [done_items for done_items, _, _ in watch.seen]
    assert len(progress) > 20
    assert progress == sorted(progress), "progress went backwards"
    assert all(done_items + pending == total == ITEMS for done_items, pending, total in watch.seen)

    calls = endpoint.calls()
    assert {call.message for call in calls} == {f"question {place} of {ITEMS}" for place in range(ITEMS)}
    assert repeated_without_need(calls, kills) == []
    killed = [(kills[life_of(call) - 1], call.at) for call in calls if life_of(call) <= KILLS]
    assert len(calls) - ITEMS <= sum(at >= kill - LATENCY - STORED_WITHIN for kill, at in killed)
    for life, restart in enumerate(restarts, 2):
        later = [call.at for call in calls if life_of(call) == life]
        if later:
            assert later[0] - restart < 10

    assert server.survivors() == []
    eventually(lambda: server.weigh().processes, lambda count: count <= most_processes, 15)


def test_an_evaluation_whose_creation_was_answered_survives_a_kill_at_once(
    server: ServerProcess, endpoint: EndpointProcess
) -> None:
    evaluation_id = create(server, 60)
    server.kill()
    server.start()

    assert finished(server, evaluation_id)["status"] == "completed"
    check_items(all_items(server, evaluation_id), 60)
    assert repeated_without_need(endpoint.calls(), [server.killed_at]) == []


def test_a_polite_end_stores_what_is_done_and_goes_on_at_the_next_start(
    server: ServerProcess, endpoint: EndpointProcess
) -> None:
    evaluation_id = create(server, 400)
    eventually(endpoint.calls, lambda calls: len(calls) > 80, 20)

    asked = time.time()
    assert server.terminate() == 0
    server.start()

    assert finished(server, evaluation_id)["status"] == "completed"
    check_items(all_items(server, evaluation_id), 400)
    again = [call for call, later in _pairs(endpoint.calls()) if call.at + LATENCY < asked]
    assert again == [], "an answer that had come before the end was asked for again"
    assert server.survivors() == []


def _pairs(calls: list[Call]) -> Iterator[tuple[Call, Call]]:
    """Calls with the same message, each with the one after it; later lives come after earlier ones."""
    by_message: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_message[call.message].append(call)
    for same in by_message.values():
        yield from itertools.pairwise(sorted(same, key=lambda call: (life_of(call), call.at)))


def test_a_cancelled_evaluation_stops_calling_and_stays_stopped(
    server: ServerProcess, endpoint: EndpointProcess
) -> None:
    evaluation_id = create(server, 1_500)
    eventually(endpoint.calls, lambda calls: len(calls) > 100, 20)

    cancelled = ask(server, "POST", f"/v5/evaluations/{evaluation_id}/cancel")

    assert cancelled["id"] == evaluation_id
    done = finished(server, evaluation_id, 10)
    assert done["status"] == "failed"
    assert "cancel" in done["status_reason"].lower()
    time.sleep(2)
    counted = len(endpoint.calls())
    assert counted < 1_500
    kept = done["progress"]["items"]["successful"]
    server.kill()
    server.start()
    time.sleep(2)
    assert len(endpoint.calls()) == counted
    again = ask(server, "GET", f"/v5/evaluations/{evaluation_id}")
    assert again["status"] == "failed"
    assert again["progress"]["items"]["successful"] >= kept


def test_two_servers_cannot_share_a_data_directory(server: ServerProcess) -> None:
    second = ServerProcess(server.data_dir, server.environment)

    with pytest.raises(RuntimeError, match="ended with") as refused:
        second.start()

    second.stop()
    assert "already uses" in str(refused.value)
    assert server.healthy()
