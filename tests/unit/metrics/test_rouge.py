"""The ROUGE metrics against the `rouge-score` package, its own slow subsequence included."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer, tokenize

from assay.metrics.rouge1 import Metric as Rouge1
from assay.metrics.rouge2 import Metric as Rouge2
from assay.metrics.rouge_l import Metric as RougeL
from assay.registry.texts import rouge_tokens

OURS = {"rouge1": Rouge1(), "rouge2": Rouge2(), "rougeL": RougeL()}
THEIRS = rouge_scorer.RougeScorer(list(OURS), use_stemmer=False)

WORDS = "The the CAT cat's sat, on 3.5 mats _x_ über naïve"
sentences = st.lists(st.sampled_from(WORDS.split()), max_size=30)
texts = st.text(max_size=80) | sentences.map(" ".join)


@given(texts, texts)
@example("one", "one")
@example("KELVIN \u212a", "kelvin k")
@settings(max_examples=400, deadline=None)
def test_the_scores_agree_with_rouge_score(candidate, reference):
    expected = THEIRS.score(reference, candidate)
    for name, metric in OURS.items():
        assert metric.score(candidate, reference) == pytest.approx(expected[name].fmeasure, abs=1e-9)


@given(st.text(st.characters(), max_size=120))
@settings(max_examples=500, deadline=None)
def test_the_tokens_are_those_of_rouge_score(text):
    assert rouge_tokens(text) == tokenize.tokenize(text, None)


def test_long_texts_agree_too():
    candidate = " ".join(str(number * 7919 % 61) for number in range(400))
    reference = " ".join(str(number * 104729 % 53) for number in range(350))
    assert OURS["rougeL"].score(candidate, reference) == pytest.approx(
        THEIRS.score(reference, candidate)["rougeL"].fmeasure, abs=1e-9
    )


def test_texts_whose_product_is_too_large_are_refused_with_their_sizes():
    with pytest.raises(ValueError, match="rougeL: the texts have 60,000 and 50,000 tokens"):
        OURS["rougeL"].score("a " * 60_000, "b " * 50_000)
