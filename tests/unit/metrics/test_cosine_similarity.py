"""The `cosine_similarity` metric against the `wordllama` package itself."""

import json
import subprocess
import sys

import pytest

from assay.metrics.cosine_similarity import Metric

COSINE = Metric()

PAIRS = [
    ("I love my car", "My automobile is great"),
    ("The treaty was signed in 1648.", "quantum chromodynamics"),
    ("naïve café", "coffee shop"),
    ("日本語のテキスト", "English text"),
    ("one", "one two three " * 400),
    ("<s>special</s>", "special"),
]


def test_it_agrees_with_the_package_whose_vectors_it_uses():
    source = (
        "import json, pathlib, sys, wordllama\n"
        "folder = pathlib.Path(wordllama.__file__).parent\n"
        "model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)\n"
        "print(json.dumps([model.similarity(*pair) for pair in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], input=json.dumps(PAIRS), capture_output=True, text=True, check=True
    )
    # The package adds up in single precision, we in double.
    assert [COSINE.score(*pair) for pair in PAIRS] == pytest.approx(json.loads(done.stdout), abs=2e-5)


def test_a_paraphrase_scores_above_another_subject():
    assert COSINE.score("The car is fast", "That automobile is quick") > 0.5
    assert COSINE.score("The car is fast", "Photosynthesis needs sunlight") < 0.35


def test_rounding_never_lifts_a_score_above_one():
    assert COSINE.score("tea sun mat sea sun", "sun tea sun sea mat") == 1.0


def test_it_is_lexical():
    assert COSINE.score("dog bites man", "man bites dog") > 0.9


def test_a_text_longer_than_one_block_of_tokens_keeps_its_direction():
    assert COSINE.score("cats and dogs " * 3000, "cats and dogs " * 10) == pytest.approx(1.0, abs=1e-3)


def test_an_overlong_text_is_refused():
    with pytest.raises(ValueError, match="at most 100,000"):
        COSINE.score("a" * 100_001, "b")
