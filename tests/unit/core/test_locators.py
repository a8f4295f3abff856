"""Locators and templates against slow and obvious implementations of their rules."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay.core.locators import (
    Locator,
    MissingValue,
    UnknownColumn,
    bind,
    parse_locator,
    parse_template,
    render,
)

# Few letters and many dots and digits, so that keys, paths and indexes collide.
keys = st.text(alphabet="ab.0 1é", min_size=1, max_size=5)
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
rows = st.dictionaries(keys, values, max_size=4)
NOTHING = object()


def candidates(value: Any, path: str) -> list[Any]:
    """Every value that some reading of a dotted path leads to, longest key first: depth-first enumeration."""
    parts = path.split(".")
    found = []
    if isinstance(value, dict):
        for size in range(len(parts), 0, -1):
            key = ".".join(parts[:size])
            if key in value:
                found += candidates(value[key], ".".join(parts[size:])) if size < len(parts) else [value[key]]
    elif isinstance(value, list):
        found += [
            reading
            for index, inner in enumerate(value)
            if parts[0].lstrip("0") == str(index).lstrip("0") and parts[0]
            for reading in (candidates(inner, ".".join(parts[1:])) if len(parts) > 1 else [inner])
        ]
    return found


def looked_up(text: str, row: dict[str, Any]) -> Any:
    """The value of a locator on a row by trying every column that the path begins with; NOTHING when none."""
    path = text.removeprefix("item.")
    columns = [key for key in row if path == key or (path.startswith(f"{key}.") and len(path) > len(key) + 1)]
    if not columns:
        return NOTHING
    column = max(columns, key=len)
    if path == column:
        return row[column]
    found = candidates(row[column], path[len(column) + 1 :])
    return found[0] if found else NOTHING


def paths_into(value: Any, prefix: str) -> list[tuple[str, Any]]:
    """Each place of a value with its dotted path."""
    places = [(prefix, value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            places += paths_into(inner, f"{prefix}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            places += paths_into(inner, f"{prefix}.{index}")
    return places


@st.composite
def rows_and_paths(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A row and a locator: of a place that it has, or of any made-up path."""
    row = draw(rows)
    places = [path for key, value in row.items() for path, _ in paths_into(value, key)]
    made_up = st.lists(keys, min_size=1, max_size=3).map(".".join)
    return row, "item." + draw(st.sampled_from(places) | made_up if places else made_up)


@given(rows_and_paths())
@example(({"a": {"b": 1}, "a.b": 2}, "item.a.b"))
@example(({"a": {"b.c": {}, "b": {"c": {"d": 3}}}}, "item.a.b.c.d"))
@example(({"a": [[7]]}, "item.a.0.0"))
@example(({"a": [7]}, "item.a.0."))
@example(({"a": [{"": 5}]}, "item.a.0."))
@example(({"a": [7]}, "item.a." + "9" * 5000))
@example(({"a": [7]}, "item.a.-1"))
@example(({"a": [7, 8, 9]}, "item.a.²"))
@example(({"a": [7, 8, 9]}, "item.a.\u0661"))
@example(({"a": {"": 5}}, "item.a."))
@example(({"a": {"": {"b": 5}}}, "item.a..b"))
@example(({"a": "text"}, "item.a.0"))
def test_a_locator_finds_what_trying_every_reading_finds(case: tuple[dict[str, Any], str]) -> None:
    row, text = case
    expected = looked_up(text, row)

    locator = parse_locator(text, row.keys())

    if locator is None:
        assert expected is NOTHING
    elif expected is NOTHING:
        with pytest.raises(MissingValue) as caught:
            locator.resolve(row)
        assert caught.value.path == text
    else:
        assert locator.resolve(row) is expected


@given(rows_and_paths())
def test_a_locator_is_written_back_as_it_was_read(case: tuple[dict[str, Any], str]) -> None:
    row, text = case
    locator = parse_locator(text, row.keys())

    if locator is not None:
        assert locator.text == text
        assert parse_locator(locator.text, row.keys()) == locator


@given(st.dictionaries(st.text(alphabet="ab", min_size=1, max_size=3), values, max_size=4))
def test_every_place_of_a_row_with_plain_keys_can_be_reached(row: dict[str, Any]) -> None:
    for key, value in row.items():
        locator = parse_locator(f"item.{key}", row)
        assert locator is not None
        assert locator.resolve(row) is value


@given(st.text(max_size=12), rows)
def test_text_that_names_no_column_is_a_literal(text: str, row: dict[str, Any]) -> None:
    first = text.removeprefix("item.").split(".")[0]
    if not text.startswith("item.") or not any(key.startswith(first) for key in row):
        assert parse_locator(text, row) is None


def test_a_value_keeps_its_type() -> None:
    value = {"deep": [1, 2.5, True, None, {"x": "y"}]}

    assert bind("item.q", {"q"}).resolve({"q": value}) is value


def test_a_locator_to_a_column_that_this_item_lacks_is_missing() -> None:
    locator = parse_locator("item.q.x", {"q"})
    assert locator == Locator("q", "x")

    with pytest.raises(MissingValue, match=r"item\.q\.x"):
        locator.resolve({})


@given(values)
def test_a_template_renders_text_as_it_is_null_as_nothing_and_the_rest_as_compact_json(value: Any) -> None:
    text = render(value)

    if isinstance(value, str):
        assert text == value
    elif value is None:
        assert text == ""
    else:
        assert json.loads(text) == value
        assert "\n" not in text
        assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


plain_columns = st.text(alphabet="abcé_", min_size=1, max_size=4)
literals = st.text(alphabet="xyz {}}{.é\n", max_size=6).filter(lambda text: "{{" not in text)


@st.composite
def templates(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """A template, its text rendered piece by piece, and the row."""
    row = draw(st.dictionaries(plain_columns, values, min_size=1, max_size=3))
    text = expected = ""
    for _ in range(draw(st.integers(1, 4))):
        literal = draw(literals).rstrip("{")
        column = draw(st.sampled_from(sorted(row)))
        space = draw(st.sampled_from(["", " ", "\n"]))
        text += literal + "{{" + space + "item." + column + space + "}}"
        expected += literal + render(row[column])
    tail = draw(literals).lstrip("}")
    return text + tail, expected + tail, row


@given(templates())
def test_a_template_is_its_pieces_rendered_in_order(case: tuple[str, str, dict[str, Any]]) -> None:
    text, expected, row = case

    template = parse_template(text, row)

    assert template is not None
    assert template.resolve(row) == expected


def test_a_placeholder_may_name_a_column_with_a_line_break() -> None:
    assert bind("{{item.two\nlines}}!", {"two\nlines"}).resolve({"two\nlines": 1}) == "1!"


def test_values_are_not_rendered_again() -> None:
    binding = bind("Q: {{item.a}}", {"a", "b"})

    assert binding.resolve({"a": "{{item.b}} item.b", "b": "secret"}) == "Q: {{item.b}} item.b"


def test_a_placeholder_without_a_column_is_a_mistake_and_not_text() -> None:
    with pytest.raises(UnknownColumn, match=r"item\.qestion"):
        bind({"messages": [{"content": "{{item.qestion}}"}]}, {"question"})


@pytest.mark.parametrize("text", ["{{", "}}", "{{item}}", "{{ other.x }}", "{item.a}", "{{}}", "{{item.a"])
def test_braces_that_are_no_placeholder_stay_as_they_are(text: str) -> None:
    assert bind(text, {"a"}).resolve({"a": 1}) == text


@pytest.mark.parametrize(
    "text",
    [
        "{{item.a" + " " * 300_000,
        "{{item.a " * 100_000,
        "{{ " * 100_000,
        "item." + "b." * 300_000 + "b",
        "item.a." + "b." * 300_000 + "b",
    ],
)
def test_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    """Each took minutes where time grows with the square of the length."""
    binding = bind(text, {"a"})

    if binding.constant:
        assert binding.resolve({"a": {"b": 1}}) == text
    else:
        with pytest.raises(MissingValue):
            binding.resolve({"a": {"b": {"b": 1}, "b.b": 2}})


def substituted(value: Any, row: dict[str, Any]) -> Any:
    """A configuration with whole-string locators replaced, by the obvious recursion."""
    if isinstance(value, str):
        found = looked_up(value, row) if value.startswith("item.") else NOTHING
        return value if found is NOTHING else found
    if isinstance(value, list):
        return [substituted(inner, row) for inner in value]
    if isinstance(value, dict):
        return {key: substituted(inner, row) for key, inner in value.items()}
    return value


@st.composite
def configurations(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A nested configuration whose strings are locators of a row's own columns or plain text."""
    row = draw(st.dictionaries(plain_columns, values, max_size=3))
    strings = st.text(alphabet="xyz", max_size=3)
    if row:
        strings |= st.sampled_from([f"item.{key}" for key in row])
    leaves = st.none() | st.integers() | strings
    nested = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="xyz", max_size=2), inner, max_size=3)
        ),
        max_leaves=10,
    )
    return draw(nested), row


@given(configurations())
def test_binding_a_configuration_replaces_every_locator_inside_and_nothing_else(case: tuple[Any, Any]) -> None:
    configuration, row = case

    binding = bind(configuration, row.keys())

    assert binding.resolve(row) == substituted(configuration, row)
    mentioned = {key for key in row if json.dumps(f"item.{key}", ensure_ascii=False) in flat(configuration)}
    assert binding.columns == mentioned
    assert binding.constant == (not mentioned)


def flat(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@given(configurations())
def test_binding_never_changes_the_configuration(case: tuple[Any, Any]) -> None:
    configuration, row = case
    before = flat(configuration)

    bind(configuration, row.keys()).resolve(row)

    assert flat(configuration) == before


def test_many_locators_against_many_columns_measure_each_column_once() -> None:
    measured = []

    class Column(str):
        __slots__ = ()

        def __len__(self) -> int:
            measured.append(self)
            return super().__len__()

    columns = frozenset(Column(f"a measured column {number}") for number in range(100))

    found = [parse_locator(f"item.a measured column {number}.x", columns) for number in range(100)]

    assert None not in found
    assert len(measured) == 100
