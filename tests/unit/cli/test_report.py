"""What the commands print: numbers, what went wrong, and how to go on."""

from typing import Any

import pytest

from assay.cli.report import error_lines, make_console, print_estimate, print_evaluation, task_table


def aggregates(**one: Any) -> dict[str, Any]:
    return {"tasks": [{"alias": "verdict", "mean": None, "completed": 4, "missing": 0, "errored": 0, **one}]}


def evaluation(**more: Any) -> dict[str, Any]:
    return {"id": "e1", "name": "judged", "status": "completed", "status_reason": None, "progress": None, **more}


def shown(table: Any) -> str:
    console = make_console(record=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_errors_are_told_by_kind_with_the_first_message() -> None:
    failed = [{"item_id": "i7", "error": "the answer is not JSON: '\x1b[31mhm'", "error_type": "invalid_output"}]
    numbers = aggregates(error_types={"timeout": 1, "invalid_output": 3})

    lines = error_lines(evaluation(progress={"items": {"failed": 4, "failed_items": failed}}), numbers)

    assert lines == [
        "errors of verdict: 3 invalid_output, 1 timeout",
        "such as: the answer is not JSON: '\ufffd[31mhm' (item i7)",
    ]


def test_without_errors_there_is_nothing_to_tell() -> None:
    assert error_lines(evaluation(), aggregates(error_types={})) == []


def test_few_values_are_shown_by_their_shares_and_texts_that_differ_are_counted() -> None:
    interval = {"low": 0.1, "high": 0.9}
    few = {value: {"share": 0.5, "interval": interval} for value in ("Yes", "No")}
    assert "Yes 0.500" in shown(task_table(aggregates(values={"Yes": 2, "No": 2}, shares=few)))

    texts = {f"text {number}": 1 for number in range(12)}
    table = shown(task_table(aggregates(values=texts, shares={}, completed=12)))
    assert "12 different" in table
    assert "text 1" not in table


@pytest.mark.parametrize(
    ("reason", "told"), [("Stopped at max_cost 0.05: its calls cost 0.05 US dollars so far", True), ("Canceled", False)]
)
def test_an_evaluation_at_its_budget_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], reason: str, told: bool
) -> None:
    print_evaluation(evaluation(status="failed", status_reason=reason), aggregates())
    assert ("assay evaluations resume e1 --max-cost DOLLARS" in capsys.readouterr().out) is told


@pytest.mark.parametrize(("budget", "warned"), [(None, False), (3.0, False), (0.5, True)])
def test_an_estimate_above_the_budget_says_that_it_would_stop(
    capsys: pytest.CaptureFixture[str], budget: float | None, warned: bool
) -> None:
    tokens = {"calls": 2, "cached_calls": 0, "prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_at_most": 9}
    one = {"alias": "a", "model": "v/m", **tokens, "cost": 2.0, "cost_at_most": 4.0}
    print_estimate({"items": 2, "sampled": 2, "tasks": [one], "total": {"cost": 2.0}, "unpriced": []}, budget)
    assert ("more than max_cost" in capsys.readouterr().out) is warned


@pytest.mark.parametrize(("limit", "advised"), [(None, True), (100, False)])
def test_an_estimate_advises_a_limit_only_where_there_is_none(
    capsys: pytest.CaptureFixture[str], limit: int | None, advised: bool
) -> None:
    figures = {"calls": 2, "cached_calls": 0, "prompt_tokens": 9, "cost": None, "cost_at_most": None}
    one = {"alias": "a", "model": "v/m", **figures, "completion_tokens": None, "completion_tokens_at_most": limit}
    print_estimate({"items": 2, "sampled": 2, "tasks": [one], "total": {}, "unpriced": []})
    assert ("set max_tokens" in capsys.readouterr().out) is advised
