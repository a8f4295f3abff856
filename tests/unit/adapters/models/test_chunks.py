"""Token counts come from outside: only what is a count, and fits the database, is one."""

from typing import Any

import pytest

from assay.adapters.models.chunks import count


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"tokens": 0}, 0),
        ({"tokens": 2**53}, 2**53),
        ({"tokens": 2**64 - 1}, None),
        ({"tokens": -1}, None),
        ({"tokens": True}, None),
        ({"tokens": 1.5}, None),
        ({"tokens": "3"}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_count_is_a_whole_number_that_can_be_stored(usage: Any, counted: int | None) -> None:
    assert count(usage, "tokens") == counted
