"""The `exact_match` metric."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.metrics.exact_match import Metric

EXACT = Metric()


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("yes", " yes\n", 1.0),
        ("caf\u00e9", "cafe\u0301", 1.0),
        ("yes", "Yes", 0.0),
        ("yes", "yes.", 0.0),
        ("a  b", "a b", 0.0),
        ("", " ", 1.0),
        ("42", "42.0", 0.0),
    ],
)
def test_known_answers(candidate, reference, expected):
    assert EXACT.score(candidate, reference) == expected


@given(st.text(max_size=40))
def test_composed_and_decomposed_forms_are_the_same_text(text):
    assert EXACT.score(unicodedata.normalize("NFD", text), text) == 1.0


def test_endless_combining_marks_are_refused():
    with pytest.raises(ValueError, match="more than 100 combining marks"):
        EXACT.score("a" + "\u0301" * 101, "a")
    assert EXACT.score("a" + "\u0301" * 100, "b") == 0.0
