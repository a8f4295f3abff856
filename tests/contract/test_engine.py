"""What the port `Engine` promises, asked of the real engine on SQLite in a process of its own."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.engine_process import IN_FLIGHT, EngineProcess

ONE = "0199aaaa-0000-7000-8000-000000000001"
TWO = "0199aaaa-0000-7000-8000-000000000002"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    process = EngineProcess(tmp_path)
    yield process
    process.kill()


def until(found: Callable[[], Any], seconds: float = 15) -> Any:
    """What was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return value


def settled(engine: EngineProcess, evaluation_id: str = ONE) -> Any:
    """How the evaluation ended: the one line that says so."""
    ((_, _, _, failure),) = until(lambda: engine.journal("settled", evaluation_id))
    return failure


def workflows(folder: Path) -> dict[str, str]:
    """The engine's own records: the state of each workflow."""
    with closing(sqlite3.connect(folder / "engine.db", timeout=10)) as database:
        return dict(database.execute("SELECT workflow_uuid, status FROM workflow_status").fetchall())


def test_a_job_that_is_started_twice_runs_each_chunk_once(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=5)
    engine.launch()

    engine.tell("start", ONE)
    engine.tell("start", ONE)

    assert settled(engine) is None
    assert sorted(line[3] for line in engine.journal("begin", ONE)) == [0, 1, 2, 3, 4]
    engine.close()


def test_a_job_without_chunks_is_settled(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=0)
    engine.launch()

    engine.tell("start", ONE)

    assert settled(engine) is None
    engine.close()


def test_a_settled_evaluation_that_got_more_to_do_is_taken_up_again_and_does_what_is_left(
    engine: EngineProcess,
) -> None:
    engine.add(ONE, chunks=2)
    engine.launch()
    engine.tell("start", ONE)
    until(lambda: engine.journal("settled", ONE))
    engine.add(ONE, chunks=4, settles=2)

    engine.tell("resume", ONE)

    until(lambda: len(engine.journal("settled", ONE)) == 2)
    assert sorted(line[3] for line in engine.journal("begin", ONE)) == [0, 1, 2, 3]
    engine.close()


def test_what_is_resumed_while_its_job_still_runs_is_taken_up_when_that_has_ended(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=2, seconds=0.5)
    engine.launch()
    engine.tell("start", ONE)
    until(lambda: engine.journal("begin", ONE))
    engine.add(ONE, chunks=3)

    engine.tell("resume", ONE)
    engine.tell("resume", ONE)

    assert settled(engine) is None
    assert sorted(line[3] for line in engine.journal("begin", ONE)) == [0, 1, 2]
    engine.close()


def test_a_killed_engine_goes_on_by_itself_and_repeats_only_what_was_in_flight(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=8, seconds=0.2)
    engine.launch()
    engine.tell("start", ONE)
    until(lambda: engine.journal("end", ONE))

    engine.kill()
    ended = {line[3] for line in engine.journal("end", ONE)}
    engine.launch()

    assert settled(engine) is None
    begun = [line[3] for line in engine.journal("begin", ONE)]
    assert sorted(set(begun)) == list(range(8))
    assert len(begun) <= 8 + IN_FLIGHT
    assert all(begun.count(number) == 1 for number in ended)
    engine.close()


def test_cancelling_drops_what_is_in_flight_and_begins_nothing_more(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=6, seconds=30)
    engine.launch()
    engine.tell("start", ONE)
    until(lambda: len(engine.journal("begin", ONE)) == IN_FLIGHT)

    engine.tell("cancel", ONE)
    engine.tell("cancel", ONE)
    engine.tell("cancel", TWO)

    until(lambda: set(workflows(engine.folder).values()) <= {"CANCELLED", "SUCCESS"})
    time.sleep(1)
    assert len(engine.journal("begin", ONE)) == IN_FLIGHT
    assert engine.journal("end", ONE) == []
    assert "Traceback" not in engine.log
    engine.close()


def test_closing_in_the_middle_leaves_the_work_pending_and_fails_nothing(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=6, seconds=0.4)
    engine.add(TWO, chunks=6, seconds=0.4)
    engine.launch()
    engine.tell("start", ONE)
    engine.tell("start", TWO)
    until(lambda: engine.journal("end", ONE))

    engine.close()

    assert engine.journal("settled") == []
    states = workflows(engine.folder)
    assert "ERROR" not in states.values()
    assert {"PENDING", "ENQUEUED"} & set(states.values())
    engine.launch()
    assert settled(engine, ONE) is None
    assert settled(engine, TWO) is None
    engine.close()


@pytest.mark.parametrize("fault", [{"fails": 1}, {"plan_fails": True}])
def test_a_job_that_raises_fails_its_evaluation_with_a_reason_and_says_no_secret(
    engine: EngineProcess, fault: dict[str, Any]
) -> None:
    engine.add(ONE, chunks=3, **fault)
    engine.launch()

    engine.tell("start", ONE)

    reason = settled(engine)
    assert "RuntimeError" in reason
    assert "secret words" not in reason
    assert "secret words" not in engine.log
    assert "the job failed" in engine.log
    engine.close()


def test_two_evaluations_share_the_queue(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=30, seconds=0.1)
    engine.add(TWO, chunks=3, seconds=0.1)
    engine.launch()

    engine.tell("start", ONE)
    until(lambda: engine.journal("end", ONE))
    engine.tell("start", TWO)

    assert settled(engine, TWO) is None
    assert engine.journal("settled", ONE) == []
    assert len(engine.journal("end", ONE)) < 20
    engine.kill()


def test_an_evaluation_that_a_crash_left_without_a_job_gets_one_at_the_next_start(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=2)

    engine.launch()

    assert settled(engine) is None
    engine.close()


def test_a_job_that_ended_without_settling_its_evaluation_is_taken_up_again(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, tend_seconds=1)
    engine.add(ONE, chunks=1)
    (tmp_path / f"{ONE}.finish_fails").touch()
    engine.launch()

    try:
        assert settled(engine) is None
        assert [line[3] for line in engine.journal("begin", ONE)] == [0]
    finally:
        engine.kill()


def test_a_job_during_which_the_server_ended_too_often_is_given_up_with_a_reason(engine: EngineProcess) -> None:
    engine.add(ONE, chunks=1, seconds=60)
    engine.launch()
    until(lambda: engine.journal("begin", ONE))
    engine.kill()
    with closing(sqlite3.connect(tmp := engine.folder / "engine.db")) as database:
        assert tmp.exists()
        database.execute("UPDATE workflow_status SET recovery_attempts = 1000")
        database.commit()

    engine.launch()
    until(lambda: "MAX_RECOVERY_ATTEMPTS_EXCEEDED" in workflows(engine.folder).values())
    engine.kill()
    engine.launch()

    assert "too often" in settled(engine)


def test_the_records_of_jobs_that_ended_are_deleted_and_others_are_kept(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, tend_seconds=0.5, keep_seconds=0.5)
    engine.add(ONE, chunks=5)
    engine.add(TWO, chunks=3, seconds=4)
    engine.launch()

    try:
        assert settled(engine, ONE) is None
        until(lambda: not any(name.startswith(ONE) for name in workflows(tmp_path)))
        assert {name for name in workflows(tmp_path) if name.startswith(TWO)} == {
            TWO,
            *(f"{TWO}.{number}" for number in range(3)),
        }
        with closing(sqlite3.connect(tmp_path / "engine.db", timeout=10)) as database:
            (left,) = database.execute(
                "SELECT COUNT(*) FROM operation_outputs WHERE workflow_uuid LIKE ?", (f"{ONE}%",)
            ).fetchone()
        assert left == 0
    finally:
        engine.kill()
