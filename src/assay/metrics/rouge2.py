"""The `rouge2` metric: shared pairs of neighbouring words."""

from typing import ClassVar

from assay.registry.texts import bigrams, f_measure, overlap, rouge_tokens


class Metric:
    """ROUGE-2: the F-measure of the pairs of neighbouring words that candidate and reference share, each
    counted as often as both have it.

    Range: 0 to 1; 1 for texts of the same two or more words in the same order; 0 when either text has fewer
    than two tokens, identical one-word texts included. Symmetric.
    Tokens: lower-cased runs of a-z and 0-9, no stemming. Only ASCII counts, so a text in another script has
    no tokens and scores 0, against itself too.
    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, with the tokens and the F of
    the `rouge-score` package 0.1.2.
    Library: none; the tests hold it to `rouge-score`.
    """

    name: ClassVar[str] = "rouge2"

    def score(self, candidate: str, reference: str) -> float:
        """The ROUGE-2 F-measure."""
        ours = bigrams(rouge_tokens(candidate))
        theirs = bigrams(rouge_tokens(reference))
        return f_measure(overlap(ours, theirs), len(ours), len(theirs))
