"""The `rougeL` metric: the longest common subsequence of words."""

from typing import ClassVar

from assay.registry.texts import f_measure, rouge_tokens

_MOST_STEPS = 2_500_000_000
"""The longest product of the token counts: about half a second, in which nothing else runs in the process."""


class Metric:
    """ROUGE-L: the F-measure of the longest sequence of words that both texts hold in the same order, not
    necessarily side by side. The whole text is one sequence (not ROUGE-Lsum, which goes line by line).

    Range: 0 to 1; 1 for texts of the same words in the same order; 0 when either text has no tokens, two
    empty texts included. Symmetric.
    Tokens: lower-cased runs of a-z and 0-9, no stemming. Only ASCII counts, so a text in another script has
    no tokens and scores 0, against itself too.
    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, with the tokens and the F of
    the `rouge-score` package 0.1.2.
    Library: rapidfuzz (`LCSseq`) for the subsequence; the tests hold the whole to `rouge-score`.
    """

    name: ClassVar[str] = "rougeL"

    def __init__(self) -> None:
        from rapidfuzz.distance import LCSseq

        self._lcs = LCSseq.similarity

    def score(self, candidate: str, reference: str) -> float:
        """The ROUGE-L F-measure. Raises ValueError when the product of the token counts is over 2,500,000,000, as
        for two texts of more than 50,000 tokens each."""
        ours = rouge_tokens(candidate)
        theirs = rouge_tokens(reference)
        if len(ours) * len(theirs) > _MOST_STEPS:
            raise ValueError(
                f"rougeL: the texts have {len(ours):,} and {len(theirs):,} tokens; "
                f"the product may be at most {_MOST_STEPS:,}"
            )
        # Numbers by first use: two different tokens never look the same, as two equal hashes would.
        numbers: dict[str, int] = {}
        shared = self._lcs(
            [numbers.setdefault(token, len(numbers)) for token in ours],
            [numbers.setdefault(token, len(numbers)) for token in theirs],
        )
        return f_measure(shared, len(ours), len(theirs))
