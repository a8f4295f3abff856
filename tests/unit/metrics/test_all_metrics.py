"""What every metric must do, whatever it computes. A new metric is tested here by being there."""

import contextlib
import math
import os
import subprocess
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.registry.discovery import load_metrics

METRICS = load_metrics()
NAMES = list(METRICS)

RANGES = {"cosine_similarity": (-1.0, 1.0)}
ASYMMETRIC = {"bleu", "meteor"}
IDENTICAL_SCORES_LESS = {"meteor"}
EMPTY_TEXTS = {
    "bleu": 0.0,
    "cosine_similarity": 1.0,
    "exact_match": 1.0,
    "f1": 1.0,
    "meteor": 0.0,
    "rouge1": 0.0,
    "rouge2": 0.0,
    "rougeL": 0.0,
}

WORDS = "the a cat dogs dog sat on mat ran runs running car automobile happy glad . , 3.5 it's"
any_text = st.text(st.characters(), max_size=60)
words = st.lists(
    st.sampled_from(WORDS.split()),
    max_size=25,
).map(" ".join)
texts = any_text | words


def test_the_metrics_that_the_contract_names_are_there():
    assert set(NAMES) >= {"bleu", "meteor", "rouge1", "rouge2", "rougeL", "f1", "cosine_similarity", "exact_match"}


@pytest.mark.parametrize("name", NAMES)
@given(candidate=texts, reference=texts)
@example("", "")
@example("", "x")
@example("\ud800", "a \udfff b")
@example("\x00", "\x00\x00")
@example("e\u0301", "\u00e9")
@example("İ", "i")
@example("<skipped>", "<skipped> &amp; -\n")
@settings(max_examples=60, deadline=None)
def test_a_score_is_a_finite_float_in_the_range(name, candidate, reference):
    score = METRICS[name].score(candidate, reference)
    low, high = RANGES.get(name, (0.0, 1.0))
    assert type(score) is float
    assert math.isfinite(score)
    assert low <= score <= high


@pytest.mark.parametrize("name", NAMES)
@given(candidate=texts, reference=texts)
@settings(max_examples=40, deadline=None)
def test_the_same_texts_score_the_same_again(name, candidate, reference):
    first = METRICS[name].score(candidate, reference)
    METRICS[name].score("something else", "in between")
    assert METRICS[name].score(candidate, reference) == first


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ASYMMETRIC])
@given(candidate=texts, reference=texts)
@settings(max_examples=40, deadline=None)
def test_symmetric_metrics_do_not_mind_the_order(name, candidate, reference):
    metric = METRICS[name]
    assert metric.score(candidate, reference) == pytest.approx(metric.score(reference, candidate), abs=1e-12)


@pytest.mark.parametrize("name", sorted(ASYMMETRIC))
def test_asymmetric_metrics_do_mind_the_order(name):
    longer, shorter = "the cat sat on the mat by the door", "the cat sat on the mat"
    assert METRICS[name].score(longer, shorter) != pytest.approx(METRICS[name].score(shorter, longer))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IDENTICAL_SCORES_LESS])
@pytest.mark.parametrize("text", ["two words", "The cat, 3.5 kg, sat on the mat.", "a b c d e f " * 50])
def test_identical_texts_score_one(name, text):
    assert METRICS[name].score(text, text) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_texts_with_nothing_in_common_score_less_than_similar_ones(name):
    metric = METRICS[name]
    reference = "the quick brown fox jumps over the lazy dog"
    same = metric.score("the quick brown fox jumps over the lazy dog", reference)
    assert metric.score("invoices remain unpaid since 1987", reference) < min(0.5, same)


@pytest.mark.parametrize(("name", "expected"), EMPTY_TEXTS.items())
def test_two_empty_texts_score_what_the_docstring_says(name, expected):
    assert METRICS[name].score("", "") == expected


@pytest.mark.parametrize("name", NAMES)
def test_one_empty_text_scores_zero(name):
    assert METRICS[name].score("", "some words here") == 0.0
    assert METRICS[name].score("some words here", "") == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_states_definition_range_source_and_library(name):
    docstring = type(METRICS[name]).__doc__ or ""
    for word in ("Range: ", "Source: ", "Library: ", "ymmetric"):
        assert word in docstring


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0301\u0316" * 200_000,
        "1.,-" * 250_001,
        "y" * 1_000_001,
        " ".join(str(number % 60_000) for number in range(150_000)),
        "\U0001f600" * 300_000,
    ],
    ids=["marks", "points", "one word", "many words", "emoji"],
)
def test_a_hostile_text_is_scored_or_refused_within_seconds(name, text):
    metric = METRICS[name]
    metric.score("warm", "up")
    start = time.process_time()
    with contextlib.suppress(ValueError):
        metric.score(text, text + "b")
    assert time.process_time() - start < 5


def run_python(source: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_knowing_the_metrics_imports_no_heavy_library():
    heavy = {
        "numpy",
        "nltk",
        "sacrebleu",
        "rapidfuzz",
        "tokenizers",
        "safetensors",
        "wordllama",
        "rouge_score",
        "scipy",
    }
    printed = run_python(
        "import sys\n"
        "from assay.registry.discovery import load_metrics\n"
        "assert 'rougeL' in load_metrics()\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    assert printed.strip() == "[]"


def test_every_metric_works_without_network_and_home(tmp_path):
    printed = run_python(
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a metric wants the network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "from assay.registry.discovery import load_metrics\n"
        "for metric in load_metrics().values(): metric.score('a car ran', 'an automobile ran')\n"
        "print(sorted({'nltk', 'wordllama', 'rouge_score', 'requests'} & set(sys.modules)))",
        HOME=str(tmp_path),
    )
    assert printed.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
