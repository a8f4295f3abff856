"""The `bleu` metric: shared runs of one to four tokens, of one sentence."""

from typing import ClassVar

from assay.registry.texts import refuse_long

_MOST_CHARACTERS = 1_000_000


class Metric:
    """Sentence BLEU-4: the geometric mean of the precisions of runs of 1 to 4 tokens, times a penalty for a
    candidate shorter than the reference.

    Smoothing is exponential: the k-th order without a match counts as 1 / 2^k matches. Orders that the
    candidate is too short for are left out, as is usual for single sentences. No match at all is 0.
    Range: 0 to 1 (sacrebleu's number divided by 100); 1 for identical texts with at least one token; 0 when
    either text has none. Not symmetric.
    Tokens: sacrebleu's `13a` (WMT's mteval-v13a), capitals kept: it separates ASCII punctuation and splits at
    white space, so a script without spaces is one long token.
    Source: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002; Post, "A
    Call for Clarity in Reporting BLEU Scores", 2018. Signature: `nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp`.
    Library: sacrebleu.
    """

    name: ClassVar[str] = "bleu"

    def __init__(self) -> None:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
        from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

        self._bleu = BLEU(tokenize="13a", smooth_method="exp", effective_order=True)
        self._caches = (Tokenizer13a.__call__, TokenizerRegexp.__call__)

    def score(self, candidate: str, reference: str) -> float:
        """Smoothed sentence BLEU-4. Raises ValueError for a text of more than 1,000,000 characters."""
        refuse_long(self.name, _MOST_CHARACTERS, candidate, reference)
        score = float(self._bleu.sentence_score(candidate, [reference]).score)
        # The tokenisers remember 65,536 texts each; an evaluation seldom repeats one, and long ones add up.
        for cache in self._caches:
            cache.cache_clear()
        return min(score / 100, 1.0)
