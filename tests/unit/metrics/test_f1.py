"""The `f1` metric against a plain reading of SQuAD's definition."""

import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.metrics.f1 import Metric

F1 = Metric()
WORDS = "The the an A. a cat Cat's -cat- mat's über, 1,000 $5"
answers = st.lists(st.sampled_from(WORDS.split()), max_size=12)


def plain_words(text: str) -> list[str]:
    """SQuAD's settling of an answer, one step after the other; enough for words parted by white space."""
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return [word for word in kept.split() if word not in ("a", "an", "the")]


def plain_f1(candidate: str, reference: str) -> float:
    ours, theirs = Counter(plain_words(candidate)), Counter(plain_words(reference))
    if not ours or not theirs:
        return float(ours == theirs)
    same = (ours & theirs).total()
    if not same:
        return 0.0
    precision, recall = same / ours.total(), same / theirs.total()
    return 2 * precision * recall / (precision + recall)


@given(answers.map(" ".join), answers.map(" ".join))
@settings(max_examples=400, deadline=None)
def test_it_agrees_with_a_plain_implementation(candidate, reference):
    assert F1.score(candidate, reference) == pytest.approx(plain_f1(candidate, reference), abs=1e-9)


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("in Paris, France", "Paris", 0.5),
        ("a", "the", 1.0),
        ("a", "cat", 0.0),
        ("cat cat", "cat", 2 / 3),
        ("l\u2019a cat", "l\u2019 cat", 1.0),
        ("athens", "thens", 0.0),
        ("", "", 1.0),
    ],
)
def test_known_answers(candidate, reference, expected):
    assert F1.score(candidate, reference) == pytest.approx(expected)
