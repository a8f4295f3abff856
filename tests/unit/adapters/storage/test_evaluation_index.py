"""What the index gathers from many documents at once is what it would find one by one."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.adapters.storage.columns import Column, Distinct
from assay.adapters.storage.evaluation_index import _gather
from assay.core.filters import Operator, flatten, read_text

names = st.sampled_from(["a", "b", "a.b", "b.a", "a.b.a", "", "."])
plain = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["x", "1", "2024-01-01"]) | st.just([1])
documents = st.recursive(
    st.dictionaries(names, plain, max_size=3),
    lambda inner: st.dictionaries(names, plain | inner, max_size=3),
    max_leaves=6,
)
stored = (
    st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**53, 2**53 + 1, -(2**60), 2**80, 0.5, -0.0])
    | st.sampled_from(["x", "1", "1.0", "true", "2024-01-01", "9007199254740993", "1e999", "-"])
)


@given(st.lists(st.none() | documents, max_size=8))
def test_many_documents_are_flattened_as_each_alone_is(given_documents: list[dict[str, Any] | None]) -> None:
    cells: dict[str, tuple[list[int], list[Any]]] = {}
    _gather(range(len(given_documents)), given_documents, "", cells)
    found: dict[int, dict[str, Any]] = {}
    for key, (positions, values) in cells.items():
        for place, value in zip(positions, values, strict=True):
            assert key not in found.setdefault(place, {})
            found[place][key] = value
    expected = {place: flatten(each) for place, each in enumerate(given_documents) if flatten(each)}
    assert found == expected


@given(st.lists(stored, min_size=1, max_size=8))
def test_many_values_are_encoded_as_each_alone_is(values: list[Any]) -> None:
    together, alone = Distinct(), Distinct()
    which, codes, numbers = together.encode_all(values)
    expected = [alone.encode(value) for value in values]
    is_code = [type(each) is int for each in expected]
    assert (which is None) == (all(is_code) or not any(is_code))
    assert ([] if codes is None else codes.tolist()) == [each for each in expected if type(each) is int]
    assert ([] if numbers is None else numbers.tolist()) == [each for each in expected if type(each) is float]
    assert (together.texts, together.kinds, together.moments) == (alone.texts, alone.kinds, alone.moments)


def test_a_column_holds_any_number_of_different_texts() -> None:
    column, held = Column(), 0
    for rows in (3, 255, 256, 300, 65_535, 65_536, 70_000):
        column.put(rows, np.arange(held, rows), [f"v{n}" for n in range(held, rows)])
        held = rows
        for n in (0, 2, 254, 255, rows - 2, rows - 1):
            found = np.flatnonzero(column.mask(rows, Operator.EQUAL, [read_text(f"v{n}")]))
            assert found.tolist() == ([n] if n < rows else [])
    column.forget(np.array([7]))
    several = [read_text(f"v{n}") for n in range(20)]
    assert np.flatnonzero(column.mask(held, Operator.IN, several)).tolist() == [n for n in range(20) if n != 7]
    counted, numbers = column.count(held, np.ones(held, np.bool_))
    assert (counted.sum(), counted[7], len(numbers)) == (held - 1, 0, 0)
