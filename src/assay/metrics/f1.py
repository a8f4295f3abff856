"""The `f1` metric: shared words after the usual settling of short answers."""

import re
import string
from typing import ClassVar

from assay.registry.texts import f_measure, overlap

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Metric:
    """Token-overlap F1: the F-measure of the words that candidate and reference share, each counted as often
    as both have it.

    Words: the text is lower-cased, ASCII punctuation is deleted, the articles a, an and the are dropped, and
    the rest is split at white space (Unicode's).
    Range: 0 to 1; 1 for the same words in any order; two texts without words score 1, one such text 0.
    Symmetric.
    Source: the evaluation script of SQuAD 2.0 (Rajpurkar, Jia and Liang, 2018).
    Library: none; the tests hold it to a plain reading of that definition.
    """

    name: ClassVar[str] = "f1"

    def score(self, candidate: str, reference: str) -> float:
        """The token-overlap F1."""
        ours = _words(candidate)
        theirs = _words(reference)
        if not ours or not theirs:
            return 1.0 if ours == theirs else 0.0
        return f_measure(overlap(ours, theirs), len(ours), len(theirs))


def _words(text: str) -> list[str]:
    return _ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()
