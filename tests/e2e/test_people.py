"""People through a real server: the official client asks and manages, contributors with keys of their own answer, and a
kill in the middle loses nothing that was acknowledged."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scale_gp_beta import BadRequestError, SGPClient

from tests.builders.wire import chat, eventually
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ASSAY, ServerProcess, clean_environment

TASKS = "/v5/annotation-tasks"
LAYOUT = {"direction": "column", "children": [{"data": "item.question"}, {"data": "item.answer", "label": "Answer"}]}


def contributors_key(server: ServerProcess, name: str) -> str:
    """A key that is somebody's, made beside the running server."""
    where = ("--data-dir", str(server.data_dir), *server.arguments)
    made = subprocess.run(
        [str(ASSAY), "keys", "create", name, "--identity", name, "--contributor", *where],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(server.data_dir.parent),
    )
    return made.stdout.strip()


def post(server: ServerProcess, key: str, path: str, body: Any) -> httpx.Response:
    return httpx.post(server.base_url + path, headers={"x-api-key": key}, json=body, timeout=30, trust_env=False)


def claim(server: ServerProcess, key: str, **body: Any) -> Any:
    reply = post(server, key, f"{TASKS}/claim", body)
    assert reply.status_code == 200, reply.text
    return reply.json()["task"]


def contributor_task(question_id: str, **settings: Any) -> dict[str, Any]:
    configuration = {"question_id": question_id, "layout": LAYOUT, **settings}
    return {"task_type": "contributor_evaluation.question", "alias": "quality", "configuration": configuration}


def ask(client: SGPClient) -> str:
    return client.questions.create(
        question={
            "name": "quality",
            "prompt": "How is it?",
            "question_type": "categorical",
            "configuration": {"choices": ["good", "bad"]},
        }
    ).id


def test_people_answer_what_a_model_said_and_are_audited(server: ServerProcess, strict: SGPClient) -> None:
    question = ask(strict)
    created = strict.evaluations.create(
        evaluation={
            "name": "people",
            "data": [{"question": "one"}, {"question": "two"}],
            "tasks": [chat(alias="answer"), contributor_task(question, queue_id="e2e", overlap=2)],
        }
    )
    done = eventually(lambda: strict.evaluations.retrieve(created.id), lambda found: found.status != "running", 30)
    assert (done.status, "4 of 4 annotation tasks" in (done.status_reason or "")) == ("completed", True)
    keys = {name: contributors_key(server, name) for name in ("ann", "bob", "cid")}
    for name, answers in (("ann", ("good", "bad")), ("bob", ("good", "good"))):
        for answer in answers:
            task = claim(server, keys[name], queue_id="e2e")
            shown = task["questions"][0]["layout"]["children"]
            assert [child["value"] for child in shown] == [shown[0]["value"]] * 2, "the model echoes the question"
            reply = post(server, keys[name], f"{TASKS}/{task['id']}/answer", {"answers": {"quality": answer}})
            assert reply.status_code == 200, reply.text
    first, second = strict.evaluation_items.list(evaluation_id=created.id)
    assert (first.data["quality"], first.task_result_statuses["quality"]) == ("good", "completed")
    assert "no_consensus" in str(second.task_errors)
    assignment = {"evaluation_id": created.id, "queue_id": "e2e", "evaluation_item_ids": [second.id]}
    made = strict.annotation_tasks.batch_update(audit_assignment={**assignment, "level_1_assigned_to": "cid"})
    assert [(task.task_type, task.assigned_to) for task in made.items] == [("CONTRIBUTOR_AUDIT", "cid")] * 2
    audit = claim(server, keys["cid"], queue_id="e2e", task_type="CONTRIBUTOR_AUDIT")
    verdict = {"verdict": "fix", "answers": {"quality": "good"}}
    assert post(server, keys["cid"], f"{TASKS}/{audit['id']}/audit", verdict).json()["status"] == "FIXED"
    assert strict.evaluation_items.retrieve(second.id).data["quality"] == "good"
    with pytest.raises(BadRequestError, match="reassigned"):
        strict.annotation_tasks.batch_update(ids=[audit["id"]], assigned_to="ann")


def test_a_task_is_added_to_an_evaluation_by_the_official_client(strict: SGPClient) -> None:
    created = strict.evaluations.create(evaluation={"name": "n", "data": [{"question": "q", "answer": "a"}]})
    added = strict.evaluations.tasks.add(created.id, task=contributor_task(ask(strict), queue_id="added"))
    assert [task.alias for task in added.tasks or []] == ["quality"]
    changed = strict.evaluations.tasks.update(
        "quality",
        evaluation_id=created.id,
        configuration=contributor_task(ask(strict), queue_id="changed")["configuration"],
    )
    assert changed.status == "completed"
    (item,) = strict.evaluation_items.list(evaluation_id=created.id)
    assert item.task_result_statuses == {"quality": "pending"}


def test_show_has_a_table_of_agreement(server: ServerProcess, strict: SGPClient) -> None:
    task = contributor_task(ask(strict), queue_id="shown", overlap=2)
    rows = [{"question": str(n), "answer": "a"} for n in range(4)]
    created = strict.evaluations.create(evaluation={"name": "agreement", "data": rows, "tasks": [task]})
    for name, answers in (("dot", ("good", "bad", "good", "bad")), ("eve", ("good", "bad", "bad", "bad"))):
        key = contributors_key(server, name)
        for answer in answers:
            claimed = claim(server, key, queue_id="shown")
            post(server, key, f"{TASKS}/{claimed['id']}/answer", {"answers": {"quality": answer}})
    at = ("--base-url", server.base_url, "--api-key", server.api_key)
    shown = subprocess.run(
        [str(ASSAY), "evaluations", "show", created.id, *at],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(server.data_dir.parent),
    ).stdout
    (line,) = [line for line in shown.splitlines() if "quality: 2 people" in line]
    assert line.split()[3:6] == ["4", "0.750", "0.500"]


@pytest.fixture(params=["sqlite", "postgresql"])
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data")
    if request.param == "postgresql":
        process.arguments = ("--database-url", fresh_database())
    try:
        process.start()
        yield process
    finally:
        process.stop()
    assert "Traceback" not in process.log, process.log[-6000:]


def test_a_kill_in_the_middle_of_claims_and_answers_loses_nothing_acknowledged(killable: ServerProcess) -> None:
    server, items, people = killable, 300, 6
    client = SGPClient(api_key=server.api_key, account_id="default", base_url=server.base_url)
    rows = [{"question": str(n), "answer": "a"} for n in range(items)]
    task = contributor_task(ask(client), overlap=2)
    created = client.evaluations.create(evaluation={"name": "killed", "data": rows, "tasks": [task]})
    keys = [contributors_key(server, f"p{n}") for n in range(people)]
    acknowledged: list[tuple[str, str]] = []
    stop = threading.Event()

    def work(name: str, key: str) -> None:
        with httpx.Client(base_url=server.base_url, headers={"x-api-key": key}, timeout=30, trust_env=False) as http:
            while not stop.is_set():
                try:
                    claimed = http.post(f"{TASKS}/claim", json={}).json()["task"]
                    if claimed is None:
                        return
                    reply = http.post(f"{TASKS}/{claimed['id']}/answer", json={"answers": {"quality": "good"}})
                    if reply.status_code == 200:
                        acknowledged.append((claimed["evaluation_item_id"], name))
                except (httpx.HTTPError, ValueError, KeyError):
                    stop.wait(0.05)

    threads = [threading.Thread(target=work, args=(f"p{n}", key)) for n, key in enumerate(keys)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            before = len(acknowledged)
            eventually(lambda: len(acknowledged), lambda count, before=before: count > before + 60, 60)
            server.kill()
            server.start()
        for thread in threads:
            thread.join(120)
    finally:
        stop.set()
    answers = client.get(f"/v5/evaluations/{created.id}/answers?limit=10000", cast_to=dict[str, Any])
    stored = [(each["evaluation_item_id"], each["contributor"]) for each in answers["items"]]
    assert set(acknowledged) <= set(stored), "an acknowledged answer is gone"
    assert len(stored) == len(set(stored)) == 2 * items, "each item has two answers by two people"
    statuses = {item.task_result_statuses["quality"] for item in client.evaluation_items.list(evaluation_id=created.id)}
    assert statuses == {"completed"}
