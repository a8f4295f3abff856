"""The `bleu` metric against a plain reading of its definition."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

from assay.metrics.bleu import Metric

BLEU = Metric()
sentences = st.lists(st.sampled_from(["a", "b", "c", "dd", "ee"]), max_size=14)


def plain_bleu(candidate: list[str], reference: list[str]) -> float:
    """BLEU-4 of two token lists, exponential smoothing, only the orders that the candidate has."""
    if not candidate or not reference:
        return 0.0
    logs = []
    halvings = 0
    for n in range(1, 5):
        ours = [tuple(candidate[i : i + n]) for i in range(len(candidate) - n + 1)]
        if not ours:
            break
        theirs = Counter(tuple(reference[i : i + n]) for i in range(len(reference) - n + 1))
        matches = sum(min(count, theirs[gram]) for gram, count in Counter(ours).items())
        if n == 1 and not matches:
            return 0.0
        if not matches:
            halvings += 1
        logs.append(math.log(matches / len(ours) if matches else 1 / (2**halvings * len(ours))))
    brevity = min(1.0, math.exp(1 - len(reference) / len(candidate)))
    return brevity * math.exp(sum(logs) / len(logs))


@given(sentences, sentences)
@settings(max_examples=400, deadline=None)
def test_it_agrees_with_a_plain_implementation(candidate, reference):
    score = BLEU.score(" ".join(candidate), " ".join(reference))
    assert score == pytest.approx(plain_bleu(candidate, reference), abs=1e-9)


def test_punctuation_stands_apart_and_capitals_count():
    assert BLEU.score("Yes, 3.5 kg.", "Yes , 3.5 kg .") == 1.0
    assert BLEU.score("yes", "Yes") == 0.0


def test_the_tokenisers_remember_no_text():
    BLEU.score("a text that nobody will see again", "another one of those")
    assert Tokenizer13a.__call__.cache_info().currsize == 0
    assert TokenizerRegexp.__call__.cache_info().currsize == 0


def test_an_overlong_text_is_refused():
    with pytest.raises(ValueError, match="bleu: a text has 1,000,001 characters"):
        BLEU.score("a", "b" * 1_000_001)
