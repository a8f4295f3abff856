"""What several metrics do with texts: tokens, counting what two token lists share, composing, refusing."""

import re
import unicodedata
from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import TypeVar

Token = TypeVar("Token", bound=Hashable)

_ROUGE_TOKEN = re.compile("[a-z0-9]+")

_MOST_MARKS = 100
_MARKS_POSSIBLE = re.compile(rf"[\u0300-\U0010ffff]{{{_MOST_MARKS + 1}}}")


def rouge_tokens(text: str) -> list[str]:
    """The tokens that ROUGE's reference tokeniser makes without its stemmer: lower-cased runs of a-z and 0-9.

    Every other character separates, letters outside ASCII too, so a text in another script has no tokens.
    """
    return _ROUGE_TOKEN.findall(text.lower())


def overlap(candidate: Iterable[Token], reference: Iterable[Token]) -> int:
    """How many tokens the two share, each counted as often as both have it (multiset intersection)."""
    left: dict[Token, int] = {}
    for token in reference:
        left[token] = left.get(token, 0) + 1
    shared = 0
    for token in candidate:
        remaining = left.get(token, 0)
        if remaining:
            left[token] = remaining - 1
            shared += 1
    return shared


def f_measure(shared: int, candidate_count: int, reference_count: int) -> float:
    """The harmonic mean of precision (shared / candidate) and recall (shared / reference); 0 when none is shared."""
    if not shared:
        return 0.0
    precision = shared / candidate_count
    recall = shared / reference_count
    return 2 * precision * recall / (precision + recall)


def bigrams(tokens: Iterable[Token]) -> list[tuple[Token, Token]]:
    """The pairs of neighbouring tokens."""
    return list(pairwise(tokens))


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which an accented letter is written in one way only.

    Raises ValueError for more than 100 combining marks in a row. No language needs them, and putting them in
    order takes time with the square of their number: 40 seconds for 200,000.
    """
    if text.isascii():
        return text
    if _MARKS_POSSIBLE.search(text):
        marks = 0
        for character in text:
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks > _MOST_MARKS:
                raise ValueError(f"a text has more than {_MOST_MARKS} combining marks in a row")
    return unicodedata.normalize("NFC", text)


def refuse_long(metric: str, limit: int, *texts: str) -> None:
    """Raise ValueError when a text has more characters than a metric scores in reasonable time: nothing else
    runs in the process meanwhile."""
    for text in texts:
        if len(text) > limit:
            raise ValueError(f"{metric}: a text has {len(text):,} characters; at most {limit:,} can be scored")
