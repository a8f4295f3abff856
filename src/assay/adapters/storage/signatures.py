"""Signatures of texts: 64 bits each, of the runs of three characters in it, so that one pass over an array finds the
few texts that may contain a part, whatever their length."""

from collections.abc import Sequence

import numpy as np

from assay.adapters.storage.columns import Array

_RUN = 3
_AT_ONCE = 20_000
_MIX = np.uint32(0x9E3779B1)


def signatures(texts: Sequence[str]) -> Array:
    """The signature of each text. It has every bit of the signature of each of its parts, and perhaps some more."""
    some = [_some(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
    return np.concatenate(some) if some else np.empty(0, np.uint64)


def signature_of_part(part: str) -> np.uint64:
    """The bits that a text with this part has; none for a part that is too short."""
    found = np.bitwise_or.reduce(_bits(part)[: max(0, len(part) - _RUN + 1)])
    return np.uint64(found)


def _some(texts: Sequence[str]) -> Array:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)[:-1]))
    found: Array = np.bitwise_or.reduceat(_bits("".join(texts)), starts)
    return found


def _bits(text: str) -> Array:
    """The bit of the run that begins at each character, and one of a run after the last."""
    codes = np.frombuffer((text + "\0" * _RUN).encode("utf-32-le", "surrogatepass"), np.uint32)
    mixed = codes[:-2] * _MIX
    mixed = (mixed ^ (mixed >> np.uint32(15)) ^ codes[1:-1]) * _MIX
    mixed = (mixed ^ (mixed >> np.uint32(13)) ^ codes[2:]) * _MIX
    return np.left_shift(np.uint64(1), (mixed >> np.uint32(26)).astype(np.uint64))
