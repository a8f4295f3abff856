"""Data locations: how annotation configs and metric mappings point at a test case, its output and its trace.

    ["test_case_data", "input" | "expected_output" | "expected_extra_info", key...]
    ["test_case_output"]  or  ["test_case_output", "output", key...]
    ["trace", node id, "input" | "output" | "expected", key...]

Each becomes a locator of the result's item. Deeper keys index objects, and lists by number.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.core.locators import PREFIX

OF_CASE = ("input", "expected_output", "expected_extra_info")
OF_OUTPUT: Mapping[str, str] = {
    "output": "output",
    "generation_output": "output",
    "extra_info": "extra_info",
    "generation_extra_info": "extra_info",
}
OF_SPAN = ("input", "output", "expected")
FORMS = (
    f"it begins with test_case_data and one of {', '.join(OF_CASE)}; is test_case_output alone, or begins with it and "
    f"one of {', '.join(OF_OUTPUT)}; or begins with trace, a node and one of {', '.join(OF_SPAN)}"
)
"""How a data location looks, for whoever sent something else."""

INPUT: tuple[str, ...] = ("test_case_data", "input")
EXPECTED: tuple[str, ...] = ("test_case_data", "expected_output")
OUTPUT: tuple[str, ...] = ("test_case_output", "output")


def path_of(place: Sequence[str]) -> tuple[str, ...] | None:
    """The path in a result's row that a data location points at, its column first; None for no data location."""
    match list(place):
        case ["test_case_data", part, *keys] if part in OF_CASE:
            return (part, *keys)
        case ["test_case_output"]:
            return ("output",)
        case ["test_case_output", part, *keys] if part in OF_OUTPUT:
            return (OF_OUTPUT[part], *keys)
        case ["trace", node, part, *keys] if part in OF_SPAN:
            return ("trace", node, part, *keys)
    return None


def locator_of(place: Sequence[str]) -> str | None:
    """The locator of a data location; None for no data location."""
    path = path_of(place)
    return None if path is None else PREFIX + ".".join(path)


def is_there(path: Sequence[str], row: Mapping[str, Any]) -> bool:
    """Whether a row has a value, other than null, at a path."""
    value: Any = row
    for key in path:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key[:10]) < len(value):
            value = value[int(key)]
        else:
            return False
    return value is not None


def places_in(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """(data location, whether it may point at nothing) of each place in an annotation config's normal form."""
    members = [component for row in config.get("components") or () for component in row]
    members += (config.get("llm_prompt") or {}).get("variables") or ()
    for member in members:
        yield tuple(member["data_loc"]), bool(member.get("optional"))
