"""What `assay run` says of a run file that the server took."""

from typing import Any

from assay.cli.run import unheeded


def task(**configuration: Any) -> dict[str, Any]:
    return {"task_type": "metric", "configuration": configuration}


def test_keys_that_the_server_left_out_are_told_at_their_place() -> None:
    sent = {"tasks": [task(type="f1"), task(type="f1", run_condtion=True)]}
    made = {"tasks": [task(type="f1"), task(type="f1", added=None)]}

    ((loc, message),) = unheeded(sent, made)

    assert loc == ("body", "tasks", 1, "configuration", "run_condtion")
    assert "metric has no such key" in message


def test_an_answer_without_tasks_says_nothing() -> None:
    assert unheeded({"tasks": [task(type="f1")]}, {"tasks": None}) == []
