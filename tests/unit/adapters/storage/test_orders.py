"""Orders of the index in memory give the ranks and cuts that a plain sorted list gives, and stay right as rows move."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.adapters.storage import orders
from assay.adapters.storage.orders import InPlace, Listed, order_of

keys = st.lists(st.integers(0, 5), min_size=1, max_size=40)


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.booleans(), st.integers(-5, 210), st.integers(-5, 210))
def test_matches_in_place_are_cut_and_ranked_as_a_list_is(
    mask: list[bool], falling: bool, start: int, end: int
) -> None:
    span, orders._SPAN = orders._SPAN, 8
    try:
        found = InPlace(np.array(mask), falling)
        expected = [place for place, matches in enumerate(mask) if matches]
        expected = expected[::-1] if falling else expected
        assert found.total == len(expected)
        assert found.cut(start, end).tolist() == expected[max(start, 0) : max(end, 0)]
        for at in range(len(mask)):
            before = [place for place in expected if (place > at if falling else place < at)]
            assert found.rank(at, lambda one, other: one < other) == (len(before), mask[at])
    finally:
        orders._SPAN = span


@settings(max_examples=300)
@given(keys, keys, st.data(), st.booleans())
def test_rows_that_move_or_join_are_put_in_their_places(
    first: list[int], joining: list[int], data: st.DataObject, falling: bool
) -> None:
    values = list(first)

    def key(place: int) -> tuple[int, int]:
        return (-values[place], -place) if falling else (values[place], place)

    def before(one: int, other: int) -> bool:
        return key(one) < key(other)

    order = order_of(np.array(sorted(range(len(values)), key=key), np.int32))
    values += joining
    order.touched.update(range(len(first), len(values)))
    for place in data.draw(st.lists(st.integers(0, len(first) - 1), max_size=4)):
        values[place] = data.draw(st.integers(0, 5))
        order.touched.add(place)
    order.settle(len(values), before)
    assert not order.touched
    everything = order.matches(np.ones(len(values), np.bool_))
    assert everything.cut(0, len(values)).tolist() == sorted(range(len(values)), key=key)
    for at in range(len(values)):
        assert everything.rank(at, before)[0] == sorted(range(len(values)), key=key).index(at)


def test_the_order_of_creation_needs_no_positions() -> None:
    assert order_of(np.arange(5, dtype=np.int32)).positions is None
    assert isinstance(order_of(np.arange(5, dtype=np.int32)[::-1]).matches(np.ones(5, np.bool_)), InPlace)
    assert isinstance(order_of(np.array([1, 0, 2], np.int32)).matches(np.ones(3, np.bool_)), Listed)
