"""Run conditions: every operator against a plain oracle, and hostile trees refused at their place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.judging.conditions import MOST_LEVELS, condition_faults, condition_paths, holds, may_hold

COLUMNS = ("a", "b", "gone")
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, -1.5, 2.0]),
    st.sampled_from(["", "a", "b", "1"]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("xy"), SCALARS, max_size=2))
OPERANDS = st.one_of(
    SCALARS,
    SCALARS.map(lambda value: {"op": "const", "value": value}),
    st.sampled_from(COLUMNS)
    .flatmap(lambda name: st.sampled_from([name, f"item.{name}"]))
    .map(lambda path: {"op": "var", "path": path}),
)


def _tests(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    either = st.one_of(OPERANDS, inner)
    return st.one_of(
        st.builds(
            lambda op, left, right: {"op": op, "left": left, "right": right},
            st.sampled_from(["eq", "ne", "lt", "lte", "gt", "gte"]),
            either,
            either,
        ),
        st.builds(
            lambda op, operands: {"op": op, "operands": operands},
            st.sampled_from(["and", "or", "not"]),
            st.lists(
                st.one_of(
                    inner, st.booleans(), OPERANDS.filter(lambda each: isinstance(each, dict) and each["op"] == "var")
                ),
                max_size=3,
            ),
        ),
        st.builds(
            lambda op, left, operands: {"op": op, "left": left, "operands": operands},
            st.sampled_from(["in", "not_in"]),
            either,
            st.lists(either, max_size=3),
        ),
        st.builds(
            lambda op, operands: {"op": op, "operands": operands},
            st.sampled_from(["is_null", "is_not_null"]),
            st.lists(either, max_size=3),
        ),
    )


TREES = st.recursive(st.booleans(), _tests, max_leaves=12)


def canonical(value: Any) -> str:
    """A text that two JSON values share exactly when they are the same."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"number {float(value)!r}".replace("-0.0", "0.0")
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return "{" + ",".join(f"{key}:{canonical(value[key])}" for key in sorted(value)) + "}"


def oracle(node: Any, item: dict[str, Any]) -> Any:  # noqa: C901
    """The value of a node, written from the contract's table alone."""
    if not isinstance(node, dict):
        return node
    op = node["op"]
    if op == "const":
        return node["value"]
    if op == "var":
        return item.get(node["path"].removeprefix("item."))
    operands = [oracle(each, item) for each in node.get("operands", [])]
    if op == "and":
        return not [each for each in operands if each is not True]
    if op == "or":
        return bool([each for each in operands if each is True])
    if op == "not":
        return bool([each for each in operands if each is not True])
    if op == "is_null":
        return not [each for each in operands if each is not None]
    if op == "is_not_null":
        return None not in [each if each is None else 0 for each in operands]
    left = oracle(node["left"], item)
    if op in ("in", "not_in"):
        return (canonical(left) in [canonical(each) for each in operands]) == (op == "in")
    right = oracle(node["right"], item)
    if op in ("eq", "ne"):
        return (canonical(left) == canonical(right)) == (op == "eq")
    kinds = {
        ("text" if isinstance(each, str) else "number" if type(each) in (int, float) else None)
        for each in (left, right)
    }
    if kinds not in ({"text"}, {"number"}):
        return False
    return {"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[op]


@given(TREES, st.dictionaries(st.sampled_from(["a", "b"]), VALUES))
def test_a_condition_may_hold_whenever_some_value_of_an_unknown_column_makes_it_hold(
    tree: Any, item: dict[str, Any]
) -> None:
    located = {f"item.{name}": value for name, value in item.items()}
    assert may_hold(tree, located, ()) == holds(tree, located)
    if holds(tree, located):
        without = {name: value for name, value in located.items() if name != "item.a"}
        assert may_hold(tree, without, {"a"})


@pytest.mark.parametrize(
    ("tree", "may"),
    [
        ({"op": "eq", "left": {"op": "var", "path": "a.b"}, "right": 1}, True),
        ({"op": "and", "operands": [{"op": "var", "path": "a"}, False]}, False),
        ({"op": "or", "operands": [{"op": "var", "path": "a"}, False]}, True),
        ({"op": "not", "operands": [{"op": "or", "operands": [{"op": "var", "path": "a"}, True]}]}, False),
        ({"op": "not_in", "left": 1, "operands": [{"op": "var", "path": "a"}, 1]}, False),
        ({"op": "in", "left": {"op": "var", "path": "a"}, "operands": []}, False),
        ({"op": "is_null", "operands": [{"op": "var", "path": "a"}, 3]}, False),
        ({"op": "is_null", "operands": [{"op": "var", "path": "item.a"}]}, True),
    ],
)
def test_what_the_known_values_decide_stays_decided(tree: Any, may: bool) -> None:
    assert may_hold(tree, {}, {"a"}) is may


@given(TREES, st.dictionaries(st.sampled_from(["a", "b"]), VALUES))
def test_a_condition_holds_when_the_contract_says_so(tree: Any, item: dict[str, Any]) -> None:
    assert condition_faults(tree) == []
    located = {f"item.{name}": value for name, value in item.items()}
    assert holds(tree, located) is (oracle(tree, item) is True)
    assert {path for _, path in condition_paths(tree)} <= {f"item.{name}" for name in COLUMNS}


JSON = st.recursive(
    st.one_of(SCALARS, st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["op", "left", "right", "operands", "path", "value"]), inner, max_size=4),
        st.builds(
            lambda op, rest: {**rest, "op": op},
            st.sampled_from(["const", "var", "eq", "lt", "and", "not", "in", "is_null", "xor"]),
            st.dictionaries(st.sampled_from(["left", "right", "operands", "path", "value"]), inner, max_size=4),
        ),
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_is_no_condition_is_refused_and_what_is_not_refused_can_be_decided(tree: Any) -> None:
    faults = condition_faults(tree)
    if faults:
        assert all(isinstance(message, str) and message for _, message in faults)
    else:
        assert holds(tree, {}) in (True, False)
        condition_paths(tree)


VAR = {"op": "var", "path": "item.a"}


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ("text", ()),
        (None, ()),
        (1, ()),
        ([], ()),
        ({}, ("op",)),
        ({"op": "xor", "operands": []}, ("op",)),
        ({"op": ["eq"]}, ("op",)),
        (VAR, ()),
        ({"op": "const", "value": "x"}, ()),
        ({"op": "const"}, ("value",)),
        ({"op": "eq", "left": 1}, ("right",)),
        ({"op": "lt", "right": 1}, ("left",)),
        ({"op": "eq", "left": VAR, "right": [1]}, ("right",)),
        ({"op": "eq", "left": {"op": "const", "value": {}}, "right": 1}, ("left", "value")),
        ({"op": "eq", "left": {"op": "var"}, "right": 1}, ("left", "path")),
        ({"op": "eq", "left": {"op": "var", "path": ""}, "right": 1}, ("left", "path")),
        ({"op": "eq", "left": {"op": "var", "path": 3}, "right": 1}, ("left", "path")),
        ({"op": "and"}, ("operands",)),
        ({"op": "or", "operands": {}}, ("operands",)),
        ({"op": "and", "operands": [True, "x"]}, ("operands", 1)),
        ({"op": "not", "operands": [{"op": "const", "value": None}]}, ("operands", 0)),
        ({"op": "in", "operands": []}, ("left",)),
        ({"op": "not_in", "left": 1}, ("operands",)),
        ({"op": "is_null", "operands": [{"op": "is_null"}]}, ("operands", 0, "operands")),
    ],
)
def test_a_fault_is_said_at_its_place(tree: Any, place: tuple[Any, ...]) -> None:
    assert place in [loc for loc, _ in condition_faults(tree)]


def test_depth_and_size_are_bounded() -> None:
    deep: Any = True
    for _ in range(MOST_LEVELS - 1):
        deep = {"op": "not", "operands": [deep]}
    assert condition_faults(deep) == []
    for _ in range(5000):
        deep = {"op": "not", "operands": [deep]}
    assert "levels deep" in condition_faults(deep)[0][1]
    wide = {"op": "or", "operands": [True] * 100_000}
    assert "nodes" in condition_faults(wide)[0][1]
