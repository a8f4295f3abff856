"""The `contributor_evaluation.question` task: what its configuration may be, and what it points at."""

from typing import Any, cast

import pytest
from pydantic import ValidationError

from assay.registry.task_types import Services
from assay.task_types.contributor_question import TaskType

SERVICES = cast("Services", None)
TASK = TaskType()


def configured(**changes: Any) -> dict[str, Any]:
    given = {"question_id": "q", "layout": {"children": [{"data": "item.a"}]}, **changes}
    return TASK.Configuration.model_validate(given).model_dump(mode="json", exclude_unset=True)


def test_a_configuration_is_kept_as_it_was_sent() -> None:
    layout = {"children": [{"children": [{"data": "item.a", "label": "A"}], "direction": "column"}]}
    assert configured(layout=layout) == {"question_id": "q", "layout": layout}
    assert TASK.default_alias({}) == "contributor_evaluation_question"
    assert not TASK.executes


def test_every_value_of_the_layout_and_the_prefilled_column_must_be_there() -> None:
    layout = {"children": [{"data": "item.a"}, {"children": [{"data": "item.b"}]}]}
    assert list(TASK.required_locators(configured(layout=layout, prefill_from="c"))) == [
        (("layout", "children", 0, "data"), "item.a"),
        (("layout", "children", 1, "children", 0, "data"), "item.b"),
        (("prefill_from",), "item.c"),
    ]


def test_the_question_is_looked_up_when_the_evaluation_is_made() -> None:
    (reference,) = TASK.references(configured())
    assert (reference.kind, reference.id, reference.key, reference.loc) == (
        "question",
        "q",
        "question",
        ("question_id",),
    )


def test_a_rubric_is_looked_up_too() -> None:
    assert [each.kind for each in TASK.references(configured(rubric_id="r"))] == ["question", "rubric"]


def test_an_empty_layout_is_refused() -> None:
    assert list(TASK.check(configured(), SERVICES)) == []
    assert [problem.loc for problem in TASK.check(configured(layout={"children": []}), SERVICES)] == [("layout",)]


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": None},
        {"layout": {"children": [{}]}},
        {"layout": {"children": [{"children": [{"label": "x"}]}]}},
        {"layout": {"children": [{"data": "item.a"}], "direction": "diagonal"}},
        {"layout": {"children": [{"data": "item.a"}] * 1001}},
        {"queue_id": "x" * 257},
        {"overlap": 0},
        {"audit_levels": 3},
        {"required": "perhaps"},
    ],
)
def test_a_configuration_of_the_wrong_shape_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        configured(**changes)
