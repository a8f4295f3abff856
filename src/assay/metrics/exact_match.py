"""The `exact_match` metric: the same text or not."""

from typing import ClassVar

from assay.registry.texts import composed


class Metric:
    """Whether candidate and reference are the same text once both are in Unicode's composed form (NFC) and
    stripped of white space at their ends. Capitals, punctuation and inner white space count.

    Range: 0 or 1; two empty texts are the same. Symmetric.
    Source: Assay's own. NFC, because the same accented letter can be written in one code point or in two.
    Library: Python's `unicodedata`.
    """

    name: ClassVar[str] = "exact_match"

    def score(self, candidate: str, reference: str) -> float:
        """1.0 when they are the same, else 0.0. Raises ValueError for over 100 combining marks in a row."""
        if candidate == reference:
            return 1.0
        return 1.0 if composed(candidate).strip() == composed(reference).strip() else 0.0
