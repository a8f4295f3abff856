import math
from typing import Any

from assay.cli.comparison import compare, comparison_table, sentences
from assay.cli.report import make_console


def _items(values: list[float | None]) -> list[dict[str, Any]]:
    return [
        {"data": {"row": index, **({} if value is None else {"score": value, "same": 1.0})}}
        for index, value in enumerate(values)
    ]


def _aggregates(mean: float) -> dict[str, dict[str, Any]]:
    interval = {"low": mean - 0.1, "high": mean + 0.1}
    return {
        alias: {"alias": alias, "mean": mean, "interval": interval, "n": 40, "missing": 0, "errored": 1}
        for alias in ("score", "same")
    }


def test_a_clear_difference_is_more_than_chance_and_equal_values_are_not() -> None:
    a = [0.1 + 0.01 * (index % 5) for index in range(40)]
    b = [value + 0.2 + 0.01 * (index % 3) for index, value in enumerate(a)]
    found = compare((_aggregates(0.1), _aggregates(0.3)), (_items(list(a)), _items(list(b))), "row")
    score, same = found
    assert score.difference is not None
    assert math.isclose(score.difference.mean_difference, sum(y - x for x, y in zip(a, b, strict=True)) / 40)
    assert score.beyond_chance
    assert not same.beyond_chance
    said = sentences(found)
    assert said[0].startswith("More than chance: score is higher with B by 0.2")
    assert said[1] == "No difference: same."


def test_items_are_joined_by_the_row_identifier_and_not_by_their_order() -> None:
    a = _items([1.0, 2.0, None, 3.0])
    b = list(reversed(_items([1.5, 2.5, 9.0, None])))
    (score, _) = compare((_aggregates(0.1), _aggregates(0.3)), (a, b), "row")
    assert score.difference is not None
    assert (score.difference.n, score.difference.mean_difference) == (2, 0.5)


def test_the_table_fits_a_hundred_columns_and_shows_what_is_missing() -> None:
    found = compare((_aggregates(0.123), _aggregates(0.456)), (_items([0.1] * 40), _items([0.3, 0.4] * 20)), "row")
    console = make_console()
    console.width = 100
    with console.capture() as captured:
        console.print(comparison_table(found, "A: x   B: y"))
    text = captured.get()
    assert max(len(line) for line in text.splitlines()) <= 100
    for shown in (
        "0.123",
        "(0.023, 0.223)",
        "0.456",
        "+0.250",
        "(+0.234, +0.266)",
        "(-0.047, +0.047)",
        "<0.001",
        "errors",
    ):
        assert shown in text
