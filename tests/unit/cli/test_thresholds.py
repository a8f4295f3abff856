import pytest

from assay.cli.thresholds import Threshold, check, parse_condition, quantity

AGGREGATE = {
    "mean": 0.4,
    "n": 10,
    "errored": 0,
    "interval": {"low": 0.3, "high": 0.5},
    "latency": {"mean": 0.2, "p50": 0.1, "p95": 0.9},
}


@pytest.mark.parametrize(
    ("condition", "met"),
    [(">= 0.4", True), ("> 0.4", False), ("<=0.4", True), ("< 0.4", False), ("== 0.4", True), ("!= 4e-1", False)],
)
def test_each_comparison_is_what_it_says(condition: str, met: bool) -> None:
    threshold = Threshold("a", "mean", *parse_condition(condition))
    assert check(threshold, {"a": AGGREGATE}, {}).met is met


@pytest.mark.parametrize("text", ["0.4", ">= x", "=> 1", "", ">= 1 2", 0.4, None, ">= nan", ">= inf"])
def test_what_is_no_comparison_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be a comparison"):
        parse_condition(text)


def test_a_number_that_does_not_exist_misses_every_threshold() -> None:
    for comparison in (">=", "<=", "!="):
        threshold = Threshold("a", "mean", comparison, 0.0)
        assert not check(threshold, {"a": {**AGGREGATE, "mean": None}}, {}).met
        assert not check(threshold, {}, {}).met


def test_totals_are_checked_without_an_alias() -> None:
    assert check(Threshold(None, "errors", "<=", 0), {}, {"errors": 0.0}).met
    assert not check(Threshold(None, "errors", "<=", 0), {}, {"errors": 1.0}).met


def test_bounds_and_latencies_are_found_where_the_wire_has_them() -> None:
    assert [quantity(AGGREGATE, name) for name in ("low", "high", "latency_p95")] == [0.3, 0.5, 0.9]
    assert quantity({"interval": None}, "low") is None
