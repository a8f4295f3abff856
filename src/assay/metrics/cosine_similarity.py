"""The `cosine_similarity` metric: how alike the words of two texts are, by static word vectors."""

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

from assay.registry.texts import refuse_long

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_MOST_CHARACTERS = 100_000
_TOKENS_AT_ONCE = 4096


class Metric:
    """The cosine of the angle between the texts' vectors, each the mean of its tokens' static vectors (256
    numbers a token).

    It is lexical: the vectors know that `car` and `automobile` are alike, but not word order, negation or
    context, so `dog bites man` and `man bites dog` score 1. Near 0.9 for paraphrases, 0 to 0.3 for texts on
    different subjects; below 0 is rare.
    Range: -1 to 1; identical texts score 1, two empty ones too; one empty text scores 0. Symmetric.
    Source: WordLlama's `l2_supercat` vectors (Miller, 2024), made from the token tables of large models. They
    come inside the package: nothing is downloaded.
    Library: the `wordllama` package's files, read by `safetensors`, `tokenizers` and numpy. The package itself
    is not imported: that loads an HTTP client and configures the process's logging.
    """

    name: ClassVar[str] = "cosine_similarity"

    def __init__(self) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = _package_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        self._tokenizer.no_truncation()
        self._vectors = load_file(folder / _WEIGHTS)["embedding.weight"]

    def score(self, candidate: str, reference: str) -> float:
        """The cosine. Raises ValueError for a text of more than 100,000 characters."""
        if candidate == reference:
            return 1.0
        refuse_long(self.name, _MOST_CHARACTERS, candidate, reference)
        ours, theirs = self._vector(candidate), self._vector(reference)
        if ours is None or theirs is None:
            return 0.0
        return max(-1.0, min(1.0, float(ours @ theirs)))

    def _vector(self, text: str) -> Any:
        """The text's mean vector with length 1; None for a text without tokens."""
        import numpy as np

        # Half of a surrogate pair is legal in JSON but not in the tokeniser's UTF-8.
        text = text.encode("utf-8", "replace").decode("utf-8")
        tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not tokens:
            return None
        total = np.zeros(self._vectors.shape[1])
        for start in range(0, len(tokens), _TOKENS_AT_ONCE):
            total += self._vectors[tokens[start : start + _TOKENS_AT_ONCE]].sum(axis=0, dtype=np.float64)
        length = np.linalg.norm(total)
        return total / length if length else None


def _package_folder() -> Path:
    """Where the `wordllama` package is installed; finding it does not run it."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("cosine_similarity needs the package wordllama", name="wordllama")
    return Path(spec.origin).parent
