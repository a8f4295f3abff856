"""The `rouge1` metric: shared words."""

from typing import ClassVar

from assay.registry.texts import f_measure, overlap, rouge_tokens


class Metric:
    """ROUGE-1: the F-measure of the words that candidate and reference share, each counted as often as both
    have it.

    Range: 0 to 1; 1 for texts of the same words in any order; 0 when either text has no tokens, two empty
    texts included. Symmetric.
    Tokens: lower-cased runs of a-z and 0-9, no stemming. Only ASCII counts, so a text in another script has
    no tokens and scores 0, against itself too.
    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, with the tokens and the F of
    the `rouge-score` package 0.1.2.
    Library: none; the tests hold it to `rouge-score`.
    """

    name: ClassVar[str] = "rouge1"

    def score(self, candidate: str, reference: str) -> float:
        """The ROUGE-1 F-measure."""
        ours = rouge_tokens(candidate)
        theirs = rouge_tokens(reference)
        return f_measure(overlap(ours, theirs), len(ours), len(theirs))
