"""The `meteor` metric, its stemmer and its synonyms, each against nltk."""

import os
import random
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import nltk.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.data import FileSystemPathPointer
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score

from assay.metrics.meteor import Metric, Synonyms, stem, tokens
from scripts.build_synonyms import build
from tests.builders.wordnet import write_wordnet

METEOR = Metric()
SHIPPED = Synonyms.shipped()
PORTER = PorterStemmer()

ENDINGS = (
    "s es ies ied eed ed ing y sses ss at bl iz ational tional enci anci izer bli alli entli eli ousli ization ation "
    "ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance "
    "ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize e ll"
)
WORDS = (
    "car cars automobile auto happy happily happiness glad dog dogs ran run running study studies analyze analysed "
    "geese goose big large better good well the of , . it's state-of-the-art Paris lying skies news"
)

IRREGULAR = "y ion yyy dying howe exceed cannings controll enjoy spied died ties feed agreed bled hiss"
SMALL = (
    "car paris lutetia einstein strip goose fathead axis ax axe leaf man city walk church run runs runner-up study "
    "hope hop good well happy glad fine large quickly comics geese axes cities men ran hoped studied better best "
    "leaves men women churches nothing x"
)

sentences = st.lists(st.sampled_from(WORDS.split()), max_size=25).map(" ".join)


class Reader(WordNetCorpusReader):
    """nltk's reader without its maps between WordNet versions, which want downloaded files."""

    def map_wn(self, version="wordnet"):
        return None

    def synonyms(self, word: str) -> set[str]:
        """What nltk's METEOR compares a word with, less what can never equal a lower-case word."""
        names = {lemma.name() for synset in self.synsets(word) for lemma in synset.lemmas()}
        return {name for name in names if "_" not in name and name == name.lower()} | {word}


def reader_of(folder: Path) -> Reader:
    """nltk reads nothing outside the folders that it was told of."""
    nltk.data.path.append(str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Reader(FileSystemPathPointer(str(folder)), None)


class Found:
    """A synset and its lemmas in nltk's shape, over our table."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def lemmas(self) -> "Iterator[Name]":
        return (Name(name) for name in self._names)


class Name(str):
    def name(self) -> str:
        return str(self)


class OurSynonyms:
    def synsets(self, word: str) -> list[Found]:
        return [Found(SHIPPED.of(word))]


@pytest.fixture(scope="module")
def small_wordnet(tmp_path_factory) -> tuple[Synonyms, Reader]:
    """Our table and nltk's reader, both made from the same small dict files."""
    folder = write_wordnet(tmp_path_factory.mktemp("wordnet"))
    table = folder / "table.gz"
    build(folder, table)
    return Synonyms(table.read_bytes()), reader_of(folder)


def forms_of(words: list[str]) -> list[str]:
    endings = ("", "s", "es", "ies", "ed", "ing", "er", "est", "men", "ves", "xes")
    return [word[:cut] + ending for word in words for cut in (None, -1, -2) for ending in endings]


def test_synonyms_are_those_of_nltks_wordnet_reader(small_wordnet):
    ours, theirs = small_wordnet
    for form in forms_of(SMALL.split()):
        assert ours.of(form) == theirs.synonyms(form), form


def test_the_small_wordnet_has_the_cases_that_matter(small_wordnet):
    ours, _ = small_wordnet
    assert ours.of("comics") == {"comics", "strip", "funnies"}
    assert ours.of("geese") == {"geese", "goose", "anser", "fathead", "twat"}
    assert ours.of("paris") == {"paris", "lutetia"}
    assert ours.of("hoped") == {"hoped"}
    assert ours.of("zzz") == {"zzz"}


def test_the_same_dict_files_give_the_same_table(tmp_path):
    folder = write_wordnet(tmp_path / "dict")
    build(folder, tmp_path / "one")
    build(folder, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_shipped_table_is_wordnets():
    assert SHIPPED.of("automobile") == {"automobile", "auto", "car", "machine", "motorcar"}
    assert SHIPPED.of("geese") >= {"geese", "goose", "twat"}
    assert SHIPPED.of("happily") >= {"gayly", "merrily", "jubilantly"}


DICT = Path(os.environ.get("WORDNET_DICT", "/usr/share/wordnet"))


# Only where WordNet itself is installed, as CI does; the table that is shipped is checked above without it.
if (DICT / "data.noun").exists():

    def test_the_shipped_table_is_identical_to_the_whole_wordnet(tmp_path):
        for file in DICT.iterdir():
            shutil.copy(file, tmp_path)
        if not (tmp_path / "lexnames").exists():
            (tmp_path / "lexnames").write_text("".join(f"{number:02d}\tfile{number}\t1\n" for number in range(45)))
        theirs = reader_of(tmp_path)
        words = sorted(word for word in theirs.all_lemma_names() if "_" not in word)
        words += forms_of(random.Random(1).sample(words, 1000))
        assert [word for word in words if SHIPPED.of(word) != theirs.synonyms(word)] == []


@given(sentences, sentences)
@settings(max_examples=400, deadline=None)
def test_the_score_agrees_with_nltk(candidate, reference):
    expected = single_meteor_score(tokens(reference), tokens(candidate), wordnet=OurSynonyms())
    assert METEOR.score(candidate, reference) == pytest.approx(expected, abs=1e-9)


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_agrees_with_nltk(candidate, reference):
    expected = single_meteor_score(tokens(reference), tokens(candidate), wordnet=OurSynonyms())
    assert METEOR.score(candidate, reference) == pytest.approx(expected, abs=1e-9)


def test_the_stems_are_those_of_nltks_porter_stemmer():
    chance = random.Random(7)
    words = ["", *WORDS.split(), *IRREGULAR.split()]
    for _ in range(20_000):
        beginning = "".join(chance.choices("aeioubcdlmstywxz", k=chance.randint(0, 5)))
        words.append(beginning + "".join(chance.choices(ENDINGS.split(), k=chance.randint(1, 3))))
    assert [word for word in words if stem(word.lower()) != PORTER.stem(word)] == []


def test_words_align_by_form_then_stem_then_synonym():
    assert METEOR.score("cat", "cat") == pytest.approx(0.5)
    assert METEOR.score("cats", "cat") == pytest.approx(0.5)
    assert METEOR.score("car", "auto") == pytest.approx(0.5)
    assert METEOR.score("car", "cat") == 0.0


def test_of_several_synonyms_the_last_free_word_is_taken():
    # Then "car ran" is one chunk of two words; with the first synonym it would be two chunks.
    precision, recall = 1.0, 2 / 3
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert METEOR.score("car ran", "motorcar auto ran") == pytest.approx(mean * (1 - 0.5 * (1 / 2) ** 3))


def test_identical_texts_miss_one_by_the_penalty_of_a_single_chunk():
    assert METEOR.score("one two three four", "one two three four") == pytest.approx(1 - 0.5 / 4**3)


def test_tokens_are_words_and_marks_in_lower_case():
    assert tokens("It\u2019s a State-of-the-art idea_x, 3.5!") == [
        *["it's", "a", "state-of-the-art", "idea", "_", "x", ",", "3", ".", "5", "!"]
    ]


def test_long_texts_take_time_in_proportion_to_their_length():
    words = [f"w{number}x" for number in range(20_000)]
    candidate, reference = " ".join(words), " ".join(word + "q" for word in words)
    start = time.process_time()
    METEOR.score(candidate, reference)
    assert time.process_time() - start < 5
