"""The `meteor` metric: words aligned by form, stem and synonym."""

import gzip
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import ClassVar, TypeVar

from assay.registry.texts import composed, refuse_long

_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[^\w\s]|_")

_ALPHA = 0.9
_BETA = 3.0
_GAMMA = 0.5

_MOST_CHARACTERS = 1_000_000
_LONGEST_WORD_KEPT = 40
"""Longer words are worked out anew each time, so that the caches stay small whatever the texts are."""


class Metric:
    """METEOR: the candidate's words are aligned with the reference's, first those of the same form, then of the
    same stem (Porter), then synonyms (WordNet). With precision P and recall R of aligned words,
    F = P R / (0.9 P + 0.1 R), and the score is F (1 - 0.5 (chunks / aligned)^3), where a chunk is a run of
    aligned words that stand side by side in both texts.

    Range: 0 to 1, 1 not reached: identical texts of m tokens score 1 - 0.5 / m^3 (one word: 0.5); 0 when
    nothing aligns or a text is empty. Not symmetric.
    Tokens: Unicode letters and digits with inner hyphens and apostrophes, and each punctuation mark, in lower
    case; the text is first brought to Unicode's composed form. Stems and synonyms are English.
    Source: Lavie and Agarwal, "Meteor: An Automatic Metric for MT Evaluation with High Levels of Correlation
    with Human Judgments", 2007 (parameters 0.9, 3, 0.5); aligned as nltk does it: greedily from the end, each
    word with the last free match, synonyms looked up by stem. The synonyms are from WordNet 3.0, see
    `data/WORDNET-LICENSE`; `scripts/build_synonyms.py` makes the table.
    Library: none. The tests hold it to nltk's `meteor_score`, which takes over a second and 100 MB to import.
    """

    name: ClassVar[str] = "meteor"

    def __init__(self) -> None:
        self._synonyms = _remembering(Synonyms.shipped().of)
        self._stem = _remembering(stem)

    def score(self, candidate: str, reference: str) -> float:
        """The METEOR score of one candidate against one reference. Raises ValueError for a text of more than
        1,000,000 characters, or with over 100 combining marks in a row."""
        refuse_long(self.name, _MOST_CHARACTERS, candidate, reference)
        ours, theirs = tokens(candidate), tokens(reference)
        pairs = self._align(ours, theirs)
        if not pairs:
            return 0.0
        precision = len(pairs) / len(ours)
        recall = len(pairs) / len(theirs)
        mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
        breaks = sum(b[0] != a[0] + 1 or b[1] != a[1] + 1 for a, b in pairwise(pairs))
        penalty: float = _GAMMA * ((breaks + 1) / len(pairs)) ** _BETA
        return (1 - penalty) * mean

    def _align(self, candidate: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
        """The aligned positions, (candidate's, reference's), in the candidate's order."""
        ours = dict(enumerate(candidate))
        theirs = dict(enumerate(reference))
        pairs = _match(ours, theirs, lambda word: (word,))
        if ours and theirs:
            ours = {place: self._stem(word) for place, word in ours.items()}
            theirs = {place: self._stem(word) for place, word in theirs.items()}
            pairs += _match(ours, theirs, lambda word: (word,))
        if ours and theirs:
            pairs += _match(ours, theirs, self._synonyms)
        return sorted(pairs)


def tokens(text: str) -> list[str]:
    """METEOR's tokens of a text."""
    text = composed(text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [token.lower() for token in _TOKEN.findall(text)]


def _match(
    ours: dict[int, str], theirs: dict[int, str], forms: Callable[[str], Iterable[str]]
) -> list[tuple[int, int]]:
    """Pair words of `ours` with words of `theirs` that are one of their forms, and take them out of both.

    From the last word to the first; each takes the last word of `theirs` that is still free. One pass over
    each side, so long texts cost no more than their length.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, word in theirs.items():
        places[word].append(place)
    pairs: list[tuple[int, int]] = []
    for mine in reversed(list(ours)):
        free = [places[form] for form in forms(ours[mine]) if places.get(form)]
        if free:
            its = max(free, key=lambda found: found[-1]).pop()
            pairs.append((mine, its))
            del ours[mine], theirs[its]
    return pairs


Known = TypeVar("Known")


def _remembering(function: Callable[[str], Known]) -> Callable[[str], Known]:
    kept = lru_cache(maxsize=20_000)(function)
    return lambda word: kept(word) if len(word) <= _LONGEST_WORD_KEPT else function(word)


class Synonyms:
    """WordNet's synonyms of a word, from the table that `scripts/build_synonyms.py` made."""

    _ENDINGS: ClassVar[dict[str, tuple[tuple[str, str], ...]]] = {
        "n": (
            ("s", ""),
            ("ses", "s"),
            ("ves", "f"),
            ("xes", "x"),
            ("zes", "z"),
            ("ches", "ch"),
            ("shes", "sh"),
            ("men", "man"),
            ("ies", "y"),
        ),
        "v": (
            ("s", ""),
            ("ies", "y"),
            ("es", "e"),
            ("es", ""),
            ("ed", "e"),
            ("ed", ""),
            ("ing", "e"),
            ("ing", ""),
        ),
        "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
        "r": (),
    }
    """WordNet's rules of detachment: an ending of an inflected form and what its base has instead."""

    def __init__(self, table: bytes) -> None:
        self._lines = gzip.decompress(table).decode("ascii").split("\n")

    @classmethod
    def shipped(cls) -> "Synonyms":
        """From the table in this package."""
        return cls(files("assay.metrics").joinpath("data", "wordnet-synonyms.txt.gz").read_bytes())

    def of(self, word: str) -> frozenset[str]:
        """The word itself and every single-word, lower-case name in the synsets of the word and of its base
        forms, over all parts of speech."""
        found = {word}
        for part, endings in self._ENDINGS.items():
            bases = self._entry(part.upper() + word)
            if bases is None:
                bases = [word[: -len(old)] + new for old, new in endings if word.endswith(old)]
            for form in (word, *bases):
                found.update(self._entry(part + form) or ())
        return frozenset(found)

    def _entry(self, key: str) -> list[str] | None:
        """The names on the key's line; None when the table has no such line."""
        key += "\t"
        place = bisect_left(self._lines, key)
        if place < len(self._lines) and self._lines[place].startswith(key):
            return self._lines[place][len(key) :].split()
        return None


_IRREGULAR_STEMS = {
    "skies": "sky",
    "sky": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "news": "news",
    "innings": "inning",
    "inning": "inning",
    "outings": "outing",
    "outing": "outing",
    "cannings": "canning",
    "canning": "canning",
    "howe": "howe",
    "proceed": "proceed",
    "exceed": "exceed",
    "succeed": "succeed",
}

_DERIVED = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
)
_ADJECTIVAL = (
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
)
_RESIDUAL = (
    ("al", ""),
    ("ance", ""),
    ("ence", ""),
    ("er", ""),
    ("ic", ""),
    ("able", ""),
    ("ible", ""),
    ("ant", ""),
    ("ement", ""),
    ("ment", ""),
    ("ent", ""),
    ("ion", ""),
    ("ou", ""),
    ("ism", ""),
    ("ate", ""),
    ("iti", ""),
    ("ous", ""),
    ("ive", ""),
    ("ize", ""),
)


def stem(word: str) -> str:
    """The Porter stem of a lower-case word, with the later corrections that nltk's stemmer makes by default.

    Porter, "An algorithm for suffix stripping", 1980. The corrections: a few irregular words, words of two
    letters stay, `ie` is kept in four-letter words, y becomes i only after a consonant, and three endings.
    """
    if word in _IRREGULAR_STEMS:
        return _IRREGULAR_STEMS[word]
    if len(word) <= 2:
        return word
    word = _without_past(_without_plural(word))
    if word.endswith("y") and len(word) > 2 and _shape(word[:-1])[-1] == "c":
        word = word[:-1] + "i"
    word = _without_derivation(word)
    word = _replace(word, _ADJECTIVAL, 0)
    if not (word.endswith("ion") and word[-4:-3] not in ("s", "t")):
        word = _replace(word, _RESIDUAL, 1)
    return _without_final_letter(word)


def _shape(word: str) -> str:
    """A `c` for each consonant and a `v` for each vowel; y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and shape[-1:] == "c")
        shape += "v" if vowel else "c"
    return shape


def _measure(word: str) -> int:
    """How many times a vowel is followed by a consonant."""
    return _shape(word).count("vc")


def _is_short(word: str) -> bool:
    """Whether it ends in consonant, vowel, consonant (not w, x or y), or is a vowel and a consonant."""
    shape = _shape(word)
    return shape == "vc" or (shape.endswith("cvc") and word[-1] not in "wxy")


def _replace(word: str, rules: Iterable[tuple[str, str]], above: int) -> str:
    """Apply the first rule whose ending the word has, if the measure of what is before it is above a bound."""
    for ending, new in rules:
        if word.endswith(ending):
            rest = word[: -len(ending)]
            return rest + new if _measure(rest) > above else word
    return word


def _without_plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _without_past(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    ending = "ed" if word.endswith("ed") else "ing" if word.endswith("ing") else ""
    rest = word[: -len(ending)] if ending else ""
    if "v" not in _shape(rest):
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if len(rest) > 1 and rest[-1] == rest[-2] and _shape(rest)[-1] == "c":
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if _measure(rest) == 1 and _is_short(rest) else rest


def _without_derivation(word: str) -> str:
    if word.endswith("alli") and _measure(word[:-4]) > 0:
        word = word[:-2]
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    return _replace(word, _DERIVED, 0)


def _without_final_letter(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        measure = _measure(rest)
        if measure > 1 or (measure == 1 and not _is_short(rest)):
            word = rest
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        word = word[:-1]
    return word
