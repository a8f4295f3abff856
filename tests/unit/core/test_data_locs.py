"""Data locations: what they point at, and which are none."""

import pytest

from assay.core.data_locs import is_there, locator_of, path_of, places_in

ROW = {
    "input": {"a": {"b": [1, {"c": None}]}},
    "output": "text",
    "expected_output": None,
    "trace": {"n.1": {"output": {"x": 0}}},
}


@pytest.mark.parametrize(
    ("place", "locator"),
    [
        (["test_case_data", "input"], "item.input"),
        (["test_case_data", "input", "a", "b"], "item.input.a.b"),
        (["test_case_data", "expected_extra_info"], "item.expected_extra_info"),
        (["test_case_output"], "item.output"),
        (["test_case_output", "output", "k"], "item.output.k"),
        (["test_case_output", "generation_output"], "item.output"),
        (["trace", "n.1", "output", "x"], "item.trace.n.1.output.x"),
    ],
)
def test_a_place_is_a_locator_of_the_row(place, locator):
    assert locator_of(place) == locator


@pytest.mark.parametrize(
    "place",
    [
        [],
        ["test_case_data"],
        ["test_case_data", "output"],
        ["test_case_output", "input"],
        ["trace"],
        ["trace", "n"],
        ["trace", "n", "metadata"],
        ["item", "input"],
    ],
)
def test_what_is_no_place_has_no_path(place):
    assert path_of(place) is None
    assert locator_of(place) is None


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (("input",), True),
        (("input", "a", "b", "0"), True),
        (("input", "a", "b", "1", "c"), False),
        (("input", "a", "b", "2"), False),
        (("input", "a", "b", "-1"), False),
        (("input", "a", "b", "9" * 5000), False),
        (("output", "key"), False),
        (("expected_output",), False),
        (("trace", "n.1", "output", "x"), True),
        (("trace", "n", "output"), False),
    ],
)
def test_a_path_leads_somewhere_or_not_and_null_is_nothing(path, there):
    assert is_there(path, ROW) is there


def test_every_place_of_a_config_is_found():
    config = {
        "components": [[{"data_loc": ["a"]}, {"data_loc": ["b"], "optional": True}]],
        "llm_prompt": {"template": "", "variables": [{"name": "x", "data_loc": ["c"]}]},
    }
    assert list(places_in(config)) == [(("a",), False), (("b",), True), (("c",), False)]
    assert list(places_in({})) == []
