"""What metrics share."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.registry.texts import bigrams, composed, f_measure, overlap, refuse_long

lists = st.lists(st.integers(0, 5), max_size=20)


@given(lists, lists)
def test_overlap_is_the_size_of_the_multiset_intersection(left, right):
    assert overlap(left, right) == (Counter(left) & Counter(right)).total()


def test_the_f_measure_is_the_harmonic_mean_of_precision_and_recall():
    assert f_measure(2, 4, 8) == pytest.approx(2 / (1 / 0.5 + 1 / 0.25))
    assert f_measure(0, 0, 0) == 0.0


def test_bigrams_of_one_token_are_none():
    assert bigrams(["a"]) == []
    assert bigrams(["a", "b", "c"]) == [("a", "b"), ("b", "c")]


def test_composing_joins_marks_and_leaves_other_scripts():
    assert composed("e\u0301") == "\u00e9"
    assert composed("日本" * 200) == "日本" * 200


def test_a_run_of_over_a_hundred_marks_is_refused_and_shorter_runs_are_not():
    assert composed(("a" + "\u0316" * 100) * 5)
    with pytest.raises(ValueError, match="combining marks"):
        composed("x" * 500 + "\u0316" * 101)


def test_a_refusal_names_the_metric_and_both_sizes():
    refuse_long("m", 3, "abc", "")
    with pytest.raises(ValueError, match="m: a text has 1,000 characters; at most 3"):
        refuse_long("m", 3, "a" * 1000)
