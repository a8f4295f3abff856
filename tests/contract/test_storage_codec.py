"""What the storage writes as text reads back the same, and folded texts are equal when people say so."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.adapters.storage import codec
from assay.core.errors import InvalidInput

texts = st.text(st.characters(), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values | st.just({"\ud800": [2**64, "\udfff", -(2**63) - 1]}))
def test_json_reads_back_the_same(value: object) -> None:
    text = codec.dump_json(value)
    back = codec.load_json(text)
    assert back == value
    assert repr(back) == repr(value)
    assert codec.is_storable(text)


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": b"bytes"}, [math.nan, 2**70]])
def test_what_is_no_json_is_invalid_input(value: object) -> None:
    with pytest.raises(InvalidInput):
        codec.dump_json(value)


def test_endless_nesting_is_invalid_input() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidInput):
        codec.dump_json(value)


@given(texts)
def test_a_message_is_storable_and_otherwise_untouched(text: str) -> None:
    kept = codec.storable(text)
    assert codec.is_storable(kept)
    assert len(kept) == len(text)
    assert kept == text or not codec.is_storable(text)


@given(st.lists(texts, max_size=4), texts)
def test_a_tag_is_in_a_list_when_one_of_them_folds_to_it(tags: list[str], tag: str) -> None:
    found = codec.fold_tag(tag) in codec.fold_tags(tags)
    assert found == (codec.fold(tag) in map(codec.fold, tags))


@given(st.integers(-(2**50), 2**57) | st.integers(2**32 * 10**6 - 10**7, 2**32 * 10**6 + 10**7))
def test_a_time_reads_back_to_the_microsecond(micros: int) -> None:
    assert codec.from_micros(micros) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    assert codec.to_micros(codec.from_micros(micros)) == micros
