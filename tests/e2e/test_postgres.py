"""The server on PostgreSQL: it runs evaluations, survives kills and lost connections, and is alone on its database."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scale_gp_beta import SGPClient

from tests.builders.wire import eventually, standalone
from tests.e2e.test_crash import (
    LATENCY,
    all_items,
    ask,
    check_items,
    create,
    finished,
    repeated_without_need,
)
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.postgres import end_connections, fresh_database
from tests.fakes.server_process import ServerProcess, fake_vendor


@pytest.fixture
def endpoint() -> Iterator[EndpointProcess]:
    with EndpointProcess(latency=LATENCY) as process:
        yield process


@pytest.fixture
def database() -> str:
    return fresh_database()


@pytest.fixture
def server(endpoint: EndpointProcess, database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    environment = {**fake_vendor(endpoint.url), "ASSAY_VENDORS__FAKE__CONCURRENCY": "40"}
    environment["ASSAY_CHUNK_SIZE"] = "32"
    process = ServerProcess(tmp_path / "data", environment, ("--database-url", database))
    process.start()
    yield process
    process.stop()


def check_done(server: ServerProcess, evaluation_id: str, count: int) -> None:
    """The evaluation ends completed, each item in it once with each of its results."""
    done = finished(server, evaluation_id)
    assert (done["status"], done["error_count"]) == ("completed", 0), done["status_reason"]
    counters = done["progress"]["items"]
    assert (counters["total"], counters["successful"], counters["failed"]) == (count, count, 0)
    check_items(all_items(server, evaluation_id), count)


def test_an_evaluation_survives_kills_of_the_server_and_everything_is_there_once(
    server: ServerProcess, endpoint: EndpointProcess
) -> None:
    evaluation_id = create(server, 800)
    kills = []
    for _ in range(2):
        eventually(lambda: endpoint.calls(server.started_at), lambda calls: len(calls) > 60, 20)
        assert ask(server, "GET", f"/v5/evaluations/{evaluation_id}")["status"] == "running"
        server.kill()
        kills.append(server.killed_at)
        server.start()
    check_done(server, evaluation_id, 800)
    calls = endpoint.calls()
    assert {call.message for call in calls} == {f"question {place} of 800" for place in range(800)}
    assert repeated_without_need(calls, kills) == []
    assert "Traceback" not in server.log, server.log[-6000:]


def test_a_run_goes_on_when_the_database_ends_every_connection_over_and_over(
    server: ServerProcess, endpoint: EndpointProcess, database: str
) -> None:
    evaluation_id = create(server, 800)
    eventually(endpoint.calls, bool, 20)
    endings = 0
    while endings < 12 or (len(endpoint.calls()) < 500 and endings < 300):
        end_connections(database)
        endings += 1
        time.sleep(0.06)
    assert endings < 300
    check_done(server, evaluation_id, 800)
    messages = [call.message for call in endpoint.calls()]
    assert sorted(set(messages)) == sorted(messages), "no answer was lost with a connection"
    assert len(messages) == 800
    again = create(server, 40)
    check_done(server, again, 40)


def test_requests_right_after_the_database_ended_its_connections_are_answered(
    server: ServerProcess, database: str
) -> None:
    for _ in range(3):
        end_connections(database)
        evaluation_id = create(server, 20)
        check_done(server, evaluation_id, 20)
        end_connections(database)
        assert ask(server, "GET", "/v5/evaluation-groups")["total"] == 0


def test_the_official_client_works_the_same_on_postgresql(server: ServerProcess) -> None:
    client = SGPClient(
        api_key=server.api_key,
        account_id="default",
        base_url=server.base_url,
        max_retries=0,
        _strict_response_validation=True,
    )
    with client:
        one, two = [
            client.evaluations.create(evaluation=standalone([{"q": "?", "n": n}], name=f"e{n}"))  # type: ignore[arg-type]
            for n in range(2)
        ]
        group = client.evaluation_groups.create(name="g", evaluation_ids=[one.id], row_identifiers={one.id: "q"})
        assert client.evaluation_groups.update(group.id, metadata={"a": 1}).metadata == {"a": 1}
        replaced = client.evaluation_groups.replace(group.id, evaluation_ids=[two.id, one.id])
        assert [member.evaluation_id for member in replaced.members or ()] == [two.id, one.id]
        schema = client.evaluation_groups.retrieve_schema(group.id)
        assert [[field.field_name for field in each.fields] for each in schema.evaluation_schemas] == [["n", "q"]] * 2
        client.evaluations.archive(one.id)
        assert [each.id for each in client.evaluation_groups.list(evaluation_id=two.id, views=["members"])] == [
            group.id
        ]
        assert list(client.evaluation_groups.list(evaluation_id=one.id, views=["members"])) == []
        assert client.evaluation_groups.archive(group.id).deleted_at is not None


def test_a_second_server_on_the_same_database_is_refused_until_the_first_is_gone(
    server: ServerProcess, database: str, tmp_path: Path
) -> None:
    second = ServerProcess(tmp_path / "other", server.environment, server.arguments)
    with pytest.raises(RuntimeError, match="another server already uses this database"):
        second.start()
    second.stop()
    assert "Traceback" not in second.log
    assert server.healthy()
    server.kill()
    second.environment = {**server.environment, "ASSAY_API_KEY": server.api_key}
    eventually(lambda: _starts(second), bool, 20)
    assert second.healthy()
    second.stop()


def test_a_server_whose_claim_ended_with_its_connections_takes_it_again(
    server: ServerProcess, database: str, tmp_path: Path
) -> None:
    end_connections(database)
    time.sleep(4)
    second = ServerProcess(tmp_path / "other", server.environment, server.arguments)
    with pytest.raises(RuntimeError, match="another server already uses this database"):
        second.start()
    second.stop()
    assert server.healthy()


def _starts(server: ServerProcess) -> bool:
    """A killed server's session ends when the database notices that it is gone."""
    try:
        server.start()
    except RuntimeError:
        return False
    return True
