"""A real server process and version 4's official client as people use it: synchronous, over a socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scale_gp import BadRequestError, NotFoundError, SGPClient

import assay
from tests.fakes.server_process import ServerProcess, running_server

SOURCE = str(Path(assay.__file__).parents[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server of the source under test."""
    with running_server(tmp_path_factory.mktemp("v4") / "data", PYTHONPATH=SOURCE) as process:
        yield process
    assert "Traceback" not in process.log, process.log[-6000:]


@pytest.fixture(params=["", "/public"])
def client(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[SGPClient]:
    """The client in its strict mode, at both of the server's addresses."""
    with SGPClient(
        api_key=server.api_key,
        base_url=server.base_url + str(request.param),
        max_retries=0,
        _strict_response_validation=True,
    ) as opened:
        yield opened


def test_an_account_fills_with_all_that_an_evaluation_needs(client: SGPClient) -> None:
    account = client.accounts.create(account_name="lab").account_id
    assert account in {each.account.id for each in client.users.info().access_profiles}
    owner = client.users.info().id
    assert client.users.retrieve(owner).id == owner

    spec = client.application_specs.create(account_id=account, name="bot", description="")
    choices: Any = [{"label": "Good", "value": 1}, {"label": "Bad", "value": 0}]
    questions = [
        client.questions.create(account_id=account, type="categorical", title="ok", prompt="Good?", choices=choices),
        client.questions.create(account_id=account, type="free_text", title="why", prompt="Why?", choices=[]),
    ]
    question_set = client.question_sets.create(
        account_id=account,
        name="set",
        question_ids=[each.id for each in questions],
        question_id_to_config={questions[0].id: {"required": True}},
    )
    config = client.evaluation_configs.create(
        account_id=account, question_set_id=question_set.id, evaluation_type="llm_auto"
    )
    assert (config.auto_evaluation_model, config.created_by_user_id) == ("gpt-4o", owner)

    assert client.question_sets.retrieve(question_set.id).questions == questions
    assert [each.id for each in client.questions.list(account_id=account, limit=1)] == [
        each.id for each in reversed(questions)
    ]
    assert [each.id for each in client.question_sets.list(account_id=account, view=["Questions"])] == [question_set.id]
    assert client.evaluation_configs.delete(config.id).count == 1
    assert list(client.evaluation_configs.list(account_id=account)) == []
    assert client.application_specs.delete(spec.id).count == 1
    assert client.application_specs.delete(spec.id).count == 0
    with pytest.raises(BadRequestError):
        client.application_specs.update(spec.id, name="new")
    assert client.application_specs.update(spec.id, restore=True).archived_at is None
    assert client.application_specs.update(spec.id, name="new").name == "new"


def test_what_is_not_there_is_told_apart(client: SGPClient) -> None:
    with pytest.raises(NotFoundError):
        client.questions.retrieve("nobody's")
    with pytest.raises(Exception, match="themes") as left_out:
        client.themes.retrieve("nobody's")
    assert getattr(left_out.value, "status_code", None) == 501


def test_what_was_made_is_there_after_a_restart(server: ServerProcess) -> None:
    def client() -> SGPClient:
        return SGPClient(api_key=server.api_key, base_url=server.base_url, max_retries=0)

    made = client().questions.create(
        account_id="default", type="number", title="t", prompt="p", number_options={"min": 1}
    )
    account = client().accounts.create(account_name="kept").account_id
    server.terminate()
    server.start()
    assert client().questions.retrieve(made.id) == made
    assert list(client().questions.list(account_id=account)) == []
