"""Filters: how they are read, how values compare, and what dotted keys lead to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InvalidInput
from assay.core.filters import flatten, parse_filters, passes, resolve

LONG = "1" * 65


def holds(metadata: Any, key: str, operator: str, value: Any, *, tags: tuple[str, ...] = (), status: str = "") -> bool:
    filters = parse_filters([{"key": key, "operator": operator, "value": value}])
    return passes(filters, metadata=metadata, tags=tags, status=status)


def problems(raw: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        parse_filters(raw)
    return [(".".join(map(str, each.loc)), each.type) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("stored", "operator", "value", "expected"),
    [
        (1, "==", "1.0", True),
        (1.0, "==", "1", True),
        ("1.0", "==", "1", True),
        ("007", "==", "7", False),
        ("007", "==", "007", True),
        (10, ">=", "9", True),
        ("10", ">=", "9", True),
        (2, "<=", "10", True),
        (0.1, "<=", "0.1", True),
        (-0.0, "==", "0", True),
        (100000, "==", "1e5", True),
        (9007199254740993, "==", "9007199254740992", False),
        (9007199254740993, ">=", "9007199254740993", True),
        (9007199254740993.0, "<=", "9007199254740993", True),
        (5, ">=", "1e400", True),
        (0, ">=", "1e400", False),
        ("1e400", "==", "1e400", True),
        (LONG, "==", LONG, True),
        (2, ">=", LONG, True),
        ("NaN", "==", "NaN", True),
        (1, ">=", "NaN", False),
        (True, "==", "true", True),
        ("true", "==", "true", True),
        (True, "==", "True", False),
        (True, "==", "1", False),
        (False, ">=", "true", False),
        (True, ">=", "false", True),
        ("2026-01-02", ">=", "2026-01-01T23:00:00", True),
        ("2026-01-02", "==", "2026-01-02T00:00:00Z", True),
        ("2026-01-01T23:30:00-01:00", "==", "2026-01-02T00:30:00Z", True),
        ("2026-01-01T23:30:00-01:00", "<=", "2026-01-02T00:29:59.999999", False),
        ("2026-13-01", ">=", "2026-12-31", True),
        ("2026-01-02", ">=", "2025", True),
        ("b", ">=", "a", True),
        ("é", ">=", "z", True),
        ("B", ">=", "a", False),
        ([1, "a"], "==", '[1,"a"]', True),
        ([1, "a"], "==", [1, "a"], True),
        ({"b": 1, "a": None}, "==", '{"a":null,"b":1}', True),
        ("x' OR '1'='1", "==", "x' OR '1'='1", True),
        ("100%", "==", "100_", False),
    ],
)
def test_values_compare_as_what_they_are(stored: Any, operator: str, value: Any, expected: bool) -> None:
    assert holds({"k": stored}, "k", operator, value) is expected
    assert holds({"k": stored}, "k", "!=", value) is not holds({"k": stored}, "k", "==", value)


@pytest.mark.parametrize("metadata", [None, {}, {"k": None}, {"other": 1}])
def test_a_missing_value_passes_only_the_negations(metadata: Any) -> None:
    passed = [op for op in ("==", "!=", ">=", "<=", "IN", "NOT_IN") if holds(metadata, "k", op, "null")]

    assert passed == ["!=", "NOT_IN"]


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        ("a, b ,,c", {"a", "b", "c"}),
        ('["a, b", 1, true, null]', {"a, b", "1", "true", "null"}),
        (["a", 2.0], {"a", "2"}),
        ("", set()),
        ("[]", set()),
        (" [1]", {"1"}),
    ],
)
def test_a_list_comes_by_commas_or_as_a_json_array(value: Any, inside: set[str]) -> None:
    for stored in ("a", "b", "c", "a, b", "1", "2", "true", "null", ""):
        assert holds({"k": stored}, "k", "IN", value) is (stored in inside)
        assert holds({"k": stored}, "k", "NOT_IN", value) is (stored not in inside)


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (1.5, "1.5"), (True, "true"), (None, "null"), ({"a": 1}, "x")])
def test_values_that_are_no_text_are_taken_as_in_json(value: Any, text: str) -> None:
    assert holds({"k": text}, "k", "==", value) is (text != "x")


def test_the_longest_key_that_leads_somewhere_wins() -> None:
    metadata = {"a.b": {"c": 1}, "a": {"b.c": 2, "b": {"c": 3, "d": 4}}, "a.b.e": None, "": {"x": 5}}

    assert [resolve(metadata, key) for key in ("a.b.c", "a.b.d", "a.b.e", ".x", "a", "z")] == [
        1,
        4,
        None,
        5,
        {"b.c": 2, "b": {"c": 3, "d": 4}},
        None,
    ]


@given(
    st.recursive(
        st.none() | st.integers(0, 3),
        lambda inner: st.dictionaries(st.sampled_from(["", "a", "b", "a.b", ".", "b."]), inner, max_size=4),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict)),
)
def test_flattening_agrees_with_resolving_each_key(metadata: dict[str, Any]) -> None:
    flat = flatten(metadata)
    keys = {".".join(parts) for parts in _paths(metadata)} | {"a.a", "b.b.b"}

    assert {key: resolve(metadata, key) for key in keys if resolve(metadata, key) is not None} == flat


def _paths(value: Any) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return []
    return [(key, *rest) for key, inner in value.items() for rest in [(), *_paths(inner)]]


def test_tags_compare_in_any_case_and_negations_ask_all_of_them() -> None:
    def tagged(operator: str, value: str, *tags: str) -> bool:
        return holds({"tag": "shadowed"}, "tag", operator, value, tags=tags)

    assert tagged("==", "NIGHTLY", "nightly", "x")
    assert tagged("IN", "y,Straße", "STRASSE")
    assert not tagged("!=", "x", "nightly", "X")
    assert tagged("!=", "x")
    assert not tagged("==", "shadowed")
    assert tagged(">=", "10", "9", "11")
    assert tagged("NOT_IN", "a,b", "c")


def test_status_is_built_in() -> None:
    assert holds({"status": "x"}, "status", "==", "running", status="running")
    assert not holds({"status": "x"}, "status", "==", "x", status="running")


def test_no_filters_let_everything_pass() -> None:
    assert passes(parse_filters([]), metadata=None, tags=(), status="failed")


def test_everything_wrong_is_named_by_its_place() -> None:
    good = {"key": "k", "operator": "==", "value": "v", "object": "metadata_filter", "more": 1}

    assert len(parse_filters([good] * 10)) == 10
    assert problems([good] * 11) == [("body.filters", "too_long")]
    assert problems({"key": "k"}) == [("body.filters", "list_type")]
    assert problems("[]") == [("body.filters", "list_type")]
    assert problems([good, 5, {}]) == [
        ("body.filters.1", "dict_type"),
        ("body.filters.2.key", "missing"),
        ("body.filters.2.operator", "missing"),
        ("body.filters.2.value", "missing"),
    ]
    assert problems([{**good, "operator": "LIKE"}]) == [("body.filters.0.operator", "enum")]
    assert problems([{**good, "operator": ["=="]}]) == [("body.filters.0.operator", "enum")]
    assert problems([{**good, "key": 1}]) == [("body.filters.0.key", "string_type")]
    assert problems([{**good, "key": ""}]) == [("body.filters.0.key", "string_type")]
    assert problems([{**good, "operator": "IN", "value": "[1"}]) == [("body.filters.0.value", "json_invalid")]


def test_a_hostile_key_costs_no_time() -> None:
    assert resolve({"a": 1, "": {"": {}}}, "." * 1_000_000) is None
