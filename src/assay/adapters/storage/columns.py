"""Columns of the in-memory index: one value a row or none, packed into arrays so that a comparison is one pass.

A number lies in an array of doubles; any other value is a code into the column's dictionary of distinct texts. A
column that few rows have keeps the positions of those rows; one that many rows have is aligned with all rows.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core.filters import BEGIN_NUMBER, Operator, Value, as_text, at_least, read_text
from assay.core.folding import fold

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]

DENSE_FROM = 1024
"""The fewest values in a column that is aligned with all rows."""
DENSE_SHARE = 4
"""A column is aligned with all rows once one row in this many has a value."""

KINDS = ("text", "number", "date", "boolean")
"""What values can be, as metadata keys are described."""

_EXACT = 2**53
"""Whole numbers up to here are doubles."""
_NOTHING = 0
_FEW = 12
_NARROW = (np.uint8, np.uint16, np.int32)


class Growing:
    """A numpy array that grows at its end."""

    __slots__ = ("_data", "_fill", "length")

    def __init__(self, dtype: Any, fill: Any) -> None:
        self._data: Array = np.full(0, fill, dtype)
        self._fill = fill
        self.length = 0

    @property
    def values(self) -> Array:
        """The array itself, without the room at its end."""
        return self._data[: self.length]

    def grow(self, length: int) -> None:
        """Make it that long; new places hold the fill value."""
        if length > len(self._data):
            wider = np.full(max(length, len(self._data) * 5 // 4 + 16), self._fill, self._data.dtype)
            wider[: self.length] = self.values
            self._data = wider
        self.length = max(self.length, length)

    def extend(self, values: Iterable[Any]) -> None:
        """Add values at the end."""
        added = np.asarray(values, self._data.dtype)
        start = self.length
        self.grow(start + len(added))
        self._data[start : self.length] = added

    def put(self, length: int, places: Array, values: Array) -> None:
        """Grow to that length and set values at their places."""
        self.grow(length)
        self.values[places] = values

    def replace(self, values: Array) -> None:
        """Become these values."""
        self._data, self.length = values.astype(self._data.dtype), len(values)

    def widen(self, largest: int) -> None:
        """Have room for whole numbers up to this one; the fewer bytes a value takes, the quicker is a pass."""
        if largest > np.iinfo(self._data.dtype).max:
            self._data = self._data.astype(next(each for each in _NARROW if largest <= np.iinfo(each).max))


_NUMBER, _DATE = KINDS.index("number"), KINDS.index("date")


def _kind(text: str) -> int:
    return KINDS.index("boolean" if text in ("true", "false") else "text")


class Distinct:
    """The distinct values of a column that are no plain numbers, by code: their texts, and which are moments, or
    whole numbers that a double cannot hold."""

    __slots__ = ("_arrays", "_code_of", "exact", "kinds", "moments", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.kinds = bytearray()
        self.moments: dict[int, int] = {}
        self.exact: dict[int, int] = {}
        self._code_of: dict[str | int, int | float] = {}
        self._arrays: tuple[Array, Array, Array] | None = None

    def encode_all(self, stored: Sequence[Any]) -> tuple[Array | None, Array | None, Array | None]:
        """Stored values, none of them null: which are codes, those codes, and the numbers that the others are.
        None for `which` when all are one or the other; None for what there are none of."""
        kinds = set(map(type, stored))
        if kinds == {float} or (kinds == {int} and max(stored) <= _EXACT and min(stored) >= -_EXACT):
            return None, None, np.array(stored, np.float64)
        if kinds == {str}:
            known: list[Any] = list(map(self._code_of.get, stored))
            if None in known:
                known = [self._known(text) for text in stored]
        else:
            known = [self.encode(value) for value in stored]
        types = set(map(type, known))
        if types == {int}:
            return None, np.array(known, np.int32), None
        if types == {float}:
            return None, None, np.array(known, np.float64)
        which = np.fromiter((type(each) is int for each in known), np.bool_, len(known))
        both = np.array(known, np.float64)
        return which, both[which].astype(np.int32), both[~which]

    def encode(self, stored: Any) -> int | float:
        """A stored value, not null: a float for a number, else a code."""
        if type(stored) is float:
            return stored
        if type(stored) is int:
            return float(stored) if -_EXACT <= stored <= _EXACT else self._known(stored)
        if type(stored) is bool:
            return self._known("true" if stored else "false")
        return self._known(stored if type(stored) is str else as_text(stored))

    def _known(self, key: str | int) -> int | float:
        found = self._code_of.get(key)
        if found is None:
            found = self._code_of[key] = self._learn(key)
        return found

    def _learn(self, key: str | int) -> int | float:
        code = len(self.texts)
        if type(key) is str and key[:1] not in BEGIN_NUMBER:
            self.texts.append(key)
            self.kinds.append(_kind(key))
            self._arrays = None
            return code
        value = Value(str(key), number=key) if isinstance(key, int) else read_text(key)
        if value.number is not None and abs(value.number) < 2**1000 and float(value.number) == value.number:
            return float(value.number)
        self.texts.append(value.text)
        if isinstance(value.number, int):
            self.exact[code] = value.number
        if value.moment is not None:
            self.moments[code] = value.moment
        special = _DATE if value.moment is not None else _NUMBER if value.number is not None else None
        self.kinds.append(_kind(value.text) if special is None else special)
        self._arrays = None
        return code

    def arrays(self) -> tuple[Array, Array, Array]:
        """All texts; the codes of moments; those moments."""
        if self._arrays is None:
            texts = np.empty(len(self.texts), object)
            texts[:] = self.texts
            codes = np.fromiter(self.moments, np.int64, len(self.moments))
            moments = np.fromiter(self.moments.values(), object, len(self.moments)).astype(np.int64)
            self._arrays = texts, codes, moments
        return self._arrays

    def among(self, wanted: Sequence[Value]) -> Array:
        """By code, whether the value is one of these."""
        passing = np.zeros(len(self.texts), np.bool_)
        if not self.texts:
            return passing
        for value in wanted:
            code = self._code_of.get(value.text)
            if type(code) is int:
                passing[code] = True
        moments = {value.moment for value in wanted if value.moment is not None}
        if moments and self.moments:
            _, codes, known = self.arrays()
            passing[codes[np.isin(known, np.array(sorted(moments)))]] = True
        if self.exact:
            numbers = {value.number for value in wanted if value.number is not None}
            texts = {value.text for value in wanted if value.number is None}
            for code, number in self.exact.items():
                passing[code] = number in numbers or self.texts[code] in texts
        return passing

    def ordered(self, operator: Operator, wanted: Value) -> Array:
        """By code, whether the value is at least, or at most, this one."""
        if not self.texts:
            return np.zeros(0, np.bool_)
        texts, codes, known = self.arrays()
        up = operator is Operator.AT_LEAST
        passing = (texts >= wanted.text if up else texts <= wanted.text).astype(np.bool_)
        if wanted.moment is not None and len(codes):
            passing[codes] = known >= wanted.moment if up else known <= wanted.moment
        if wanted.number is not None:
            for code, number in self.exact.items():
                passing[code] = number >= wanted.number if up else number <= wanted.number
        return passing


class Column:
    """The values of one key."""

    __slots__ = ("_codes", "_numbers", "_positions", "distinct")

    def __init__(self) -> None:
        self.distinct = Distinct()
        self._codes: Growing | None = None
        self._numbers: Growing | None = None
        self._positions: Growing | None = Growing(np.int32, 0)

    def put(self, rows: int, positions: Array, stored: Sequence[Any]) -> None:
        """Set values, none of them null, at positions that have none yet; there are `rows` rows in all."""
        places = positions
        if self._positions is not None:
            start = self._positions.length
            self._positions.extend(positions)
            places = np.arange(start, self._positions.length)
        length = rows if self._positions is None else self._positions.length
        which, codes, numbers = self.distinct.encode_all(stored)
        if codes is not None:
            self._codes = self._codes or Growing(np.uint8, _NOTHING)
            self._codes.widen(len(self.distinct.texts))
            self._codes.put(length, places if which is None else places[which], codes + 1)
        if numbers is not None:
            self._numbers = self._numbers or Growing(np.float64, np.nan)
            self._numbers.put(length, places if which is None else places[~which], numbers)
        for each in (self._codes, self._numbers):
            if each is not None:
                each.grow(length)
        held = self._positions
        if held is not None and held.length >= DENSE_FROM and held.length * DENSE_SHARE >= rows:
            self._align(rows)

    def forget(self, positions: Array) -> None:
        """Rows at these positions have no value any more."""
        if self._positions is None:
            for each, fill in ((self._codes, _NOTHING), (self._numbers, np.nan)):
                if each is not None:
                    each.values[positions[positions < each.length]] = fill
            return
        kept = ~np.isin(self._positions.values, positions)
        if not kept.all():
            for some in (self._codes, self._numbers, self._positions):
                if some is not None:
                    some.replace(some.values[kept])

    def _align(self, rows: int) -> None:
        """Become aligned with all rows."""
        assert self._positions is not None
        positions, self._positions = self._positions.values, None
        for array in (self._codes, self._numbers):
            if array is not None:
                values = array.values.copy()
                array.replace(values[:0])
                array.grow(rows)
                array.values[:] = array._fill
                array.values[positions] = values

    def mask(self, rows: int, operator: Operator, wanted: Sequence[Value]) -> Mask:
        """Which of `rows` rows pass ==, IN, >= or <=; a row without a value does not."""
        codes, numbers = self._aligned(rows)
        passing: Mask | None = None
        if codes is not None:
            by_code = (
                self.distinct.ordered(operator, wanted[0])
                if operator in (Operator.AT_LEAST, Operator.AT_MOST)
                else self.distinct.among(wanted)
            )
            if by_code.any():
                passing = _looked_up(codes, by_code)
        if numbers is not None:
            also = _compare_numbers(numbers, operator, wanted)
            passing = also if passing is None else passing | also
        if passing is None:
            return np.zeros(rows, np.bool_)
        return self._spread(passing, rows)

    def _aligned(self, rows: int) -> tuple[Array | None, Array | None]:
        for each in (self._codes, self._numbers):
            if each is not None and self._positions is None:
                each.grow(rows)
        return (
            None if self._codes is None else self._codes.values,
            None if self._numbers is None else self._numbers.values,
        )

    def _spread(self, passing: Mask, rows: int) -> Mask:
        if self._positions is None:
            return passing
        spread = np.zeros(rows, np.bool_)
        spread[self._positions.values[passing]] = True
        return spread

    def count(self, rows: int, shown: Mask) -> tuple[Array, Array]:
        """How often each code is among the rows shown, and the numbers there."""
        codes, numbers = self._aligned(rows)
        here = shown if self._positions is None else shown[self._positions.values]
        counted = np.zeros(len(self.distinct.texts), np.int64)
        if codes is not None:
            counted = np.bincount(codes[here], minlength=len(counted) + 1)[1:]
        present = np.empty(0) if numbers is None else numbers[here]
        return counted, present[~np.isnan(present)]


def _looked_up(codes: Array, by_code: Array) -> Mask:
    """`by_code` of each code; what has none does not pass. For few codes as many comparisons are quicker than a look
    into a table each."""
    chosen = (np.flatnonzero(by_code) + 1).tolist()  # Python's numbers: NumPy's would widen the codes to compare
    if len(chosen) > _FEW:
        found: Mask = np.take(np.append(np.False_, by_code), codes, mode="clip")
        return found
    passing: Mask = codes == chosen[0]
    for code in chosen[1:]:
        passing |= codes == code
    return passing


def _compare_numbers(numbers: Array, operator: Operator, wanted: Sequence[Value]) -> Mask:
    """Which numbers pass; NaN, no number, never does."""
    if operator not in (Operator.AT_LEAST, Operator.AT_MOST):
        exact = [float(each.number) for each in wanted if each.number is not None and float(each.number) == each.number]
        if not exact:
            return np.zeros(len(numbers), np.bool_)
        return numbers == exact[0] if len(exact) == 1 else np.isin(numbers, np.array(exact))
    value = wanted[0]
    if value.number is None:
        return _compare_as_text(numbers, operator, value)
    bound = float(value.number)
    if operator is Operator.AT_LEAST:
        return numbers > bound if bound < value.number else numbers >= bound
    return numbers < bound if bound > value.number else numbers <= bound


def _compare_as_text(numbers: Array, operator: Operator, wanted: Value) -> Mask:
    """Numbers beside something that is none: their texts, once for each distinct number."""
    distinct, places = np.unique(numbers, return_inverse=True)
    passing = np.zeros(len(distinct), np.bool_)
    for place, number in enumerate(distinct.tolist()):
        if not math.isnan(number):
            stored = Value(as_text(number), number=number)
            passing[place] = at_least(stored, wanted) if operator is Operator.AT_LEAST else at_least(wanted, stored)
    return passing[places]


class TagColumn:
    """The tags of every row: a code for each distinct combination, and which tags a combination has."""

    def __init__(self) -> None:
        self._codes = Growing(np.int32, 0)
        self._combinations: dict[tuple[str, ...], int] = {(): 0}
        self._tags: dict[str, int] = {}
        self._column = Column()
        self._pair_tags = Growing(np.int32, 0)
        self._pair_combinations = Growing(np.int32, 0)

    def encode(self, folded: tuple[str, ...]) -> int:
        """The code of a combination of folded tags."""
        code = self._combinations.get(folded)
        if code is None:
            code = self._combinations[folded] = len(self._combinations)
            numbers = []
            for tag in set(folded):
                if tag not in self._tags:
                    number = self._tags[tag] = len(self._tags)
                    self._column.put(len(self._tags), np.array([number]), [tag])
                numbers.append(self._tags[tag])
            self._pair_tags.extend(numbers)
            self._pair_combinations.extend([code] * len(numbers))
        return code

    def put(self, rows: int, positions: Array, tags: Sequence[tuple[str, ...]]) -> None:
        """Set the tags at positions."""
        codes = {each: self.encode(tuple(map(fold, each))) for each in set(tags)}
        self._codes.put(rows, positions, np.array([codes[each] for each in tags], np.int32))

    def mask(self, operator: Operator, wanted: Sequence[Value]) -> Mask:
        """Which rows have a tag that passes ==, IN, >= or <=."""
        passing = self._column.mask(len(self._tags), operator, wanted)
        return self._having(passing[self._pair_tags.values])

    def having(self, folded: str) -> Mask:
        """Which rows have exactly this tag, folded."""
        number = self._tags.get(folded, -1)
        return self._having(self._pair_tags.values == number)

    def _having(self, pairs: Mask) -> Mask:
        combinations = np.zeros(len(self._combinations), np.bool_)
        combinations[self._pair_combinations.values[pairs]] = True
        return combinations[self._codes.values]
