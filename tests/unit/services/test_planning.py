"""Planning: what is wrong with tasks is said with its place, and good ones are bound and ordered."""

from typing import Any, cast

import pytest

from assay.core.errors import InvalidInput
from assay.services.planning import Plan, plan_tasks
from tests.fakes.task_types import FakeTaskType

TYPES: dict[str, Any] = {"fake": FakeTaskType()}


def planned(*tasks: Any, columns: tuple[str, ...] = ("x", "y")) -> Plan:
    return plan_tasks(tasks, columns, TYPES, cast("Any", None))


def fake(alias: str | None = None, reads: Any = "item.x", **more: Any) -> dict[str, Any]:
    return {"task_type": "fake", "alias": alias, "configuration": {"input": reads, **more}}


def problems(*tasks: Any, columns: tuple[str, ...] = ("x", "y")) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(InvalidInput) as caught:
        planned(*tasks, columns=columns)
    return [(problem.loc, problem.type) for problem in caught.value.problems]


def test_tasks_run_after_what_they_read_and_are_stored_as_they_were_sent() -> None:
    plan = planned(fake("late", "item.middle.of"), fake("middle", "{{item.early}}!"), fake("early"))

    assert [spec.alias for spec in plan.specs] == ["late", "middle", "early"]
    assert [task.alias for task in plan.runnable] == ["early", "middle", "late"]
    assert [task.waits_for for task in plan.runnable] == [(), ("early",), ("middle",)]


def test_a_task_waits_for_the_task_that_writes_an_output_column() -> None:
    plan = planned(fake("reader", "item.extra"), fake("writer", outputs=["extra"]))

    assert plan.columns == ("writer", "extra", "reader")
    assert plan.runnable[1].waits_for == ("writer",)


def test_only_the_resolved_fields_are_resolved() -> None:
    (task,) = planned(fake("a", {"deep": ["item.x", 3]}, other="item.x")).runnable

    assert task.resolve({"x": 1}) == {"input": {"deep": [1, 3]}, "other": "item.x"}


def test_without_tasks_there_is_no_job() -> None:
    assert not planned().has_job
    assert planned(fake()).has_job
    assert planned(fake()).specs[0].alias == "fake"


@pytest.mark.parametrize(
    ("task", "place", "kind"),
    [
        (None, (), "dict_type"),
        ([], (), "dict_type"),
        ({}, ("task_type",), "unknown_task_type"),
        ({"task_type": ["fake"]}, ("task_type",), "unknown_task_type"),
        ({"task_type": "nope", "configuration": {}}, ("task_type",), "unknown_task_type"),
        ({"task_type": "fake"}, ("configuration",), "missing"),
        (fake(""), ("alias",), "invalid_alias"),
        (fake("a" * 257), ("alias",), "invalid_alias"),
        (fake("a\nb"), ("alias",), "invalid_alias"),
        (fake("a", outputs=["b\tc"]), ("alias",), "invalid_alias"),
        (fake("a", "{{item.nope}}"), ("configuration", "input"), "unknown_locator"),
        (fake("a", "item.a"), (), "cycle"),
    ],
)
def test_what_is_wrong_with_a_task_is_said_with_its_place(task: Any, place: tuple[str, ...], kind: str) -> None:
    assert problems(fake("good"), task) == [(("body", "tasks", 1, *place), kind)]


def test_an_alias_is_used_once_output_columns_included() -> None:
    assert problems(fake("a"), fake("b", outputs=["a"])) == [(("body", "tasks", 1, "alias"), "duplicate_alias")]


def test_a_cycle_names_the_tasks_in_it() -> None:
    with pytest.raises(InvalidInput, match="a -> b -> a"):
        planned(fake("a", "item.b"), fake("b", "item.a"))


def test_every_fault_is_told_at_once() -> None:
    assert len(problems(fake(""), None, {"task_type": "nope"})) == 3


def test_a_message_about_a_locator_never_lists_thousands_of_columns() -> None:
    columns = tuple(f"column_{n:05}" for n in range(5_000))

    with pytest.raises(InvalidInput) as caught:
        planned(fake("a", "{{item.nope}}"), columns=columns)

    assert len(str(caught.value)) < 1000
    assert "more" in str(caught.value)
