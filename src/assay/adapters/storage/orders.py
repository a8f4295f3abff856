"""Orders of an index's rows, and the rows of a selection in such an order.

Most lists are in the order of creation, which is that of the rows' positions: there the mask of the matches is all
that is needed, and a page costs a few counts over parts of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cmp_to_key

import numpy as np

from assay.adapters.storage.columns import Array, Mask

Before = Callable[[int, int], bool]
"""Whether the row at the first position comes before the one at the second."""

_SPAN = 4_096
"""Places that are looked through at once for matches."""


@dataclass(slots=True)
class InPlace:
    """Matches in the order of the positions, or in its reverse."""

    mask: Mask
    falling: bool
    total: int = 0

    def __post_init__(self) -> None:
        self.total = int(np.count_nonzero(self.mask))

    def cut(self, start: int, end: int) -> Array:
        """The positions of the matches from one rank up to another."""
        start, end = max(start, 0), min(end, self.total)
        if start >= end:
            return np.empty(0, np.int64)
        if self.falling:
            return self._rising(self.total - end, self.total - start)[::-1]
        return self._rising(start, end)

    def _rising(self, start: int, end: int) -> Array:
        low, high, rank = 0, len(self.mask), start
        while high - low > _SPAN:
            middle = (low + high) // 2
            before = int(np.count_nonzero(self.mask[low:middle]))
            if before > rank:
                high = middle
            else:
                low, rank = middle, rank - before
        found, missing = [], rank + end - start
        while missing > 0:
            some = np.flatnonzero(self.mask[low : low + _SPAN]) + low
            found.append(some[:missing])
            missing -= len(some)
            low += _SPAN
        return np.concatenate(found)[rank:]

    def rank(self, at: int, _before: Before) -> tuple[int, bool]:
        """How many matches come before a position, and whether it is one."""
        rank, matches = int(np.count_nonzero(self.mask[:at])), bool(self.mask[at])
        return self.total - rank - matches if self.falling else rank, matches


@dataclass(slots=True)
class Listed:
    """Matches as positions in their order."""

    positions: Array

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self.positions)

    def cut(self, start: int, end: int) -> Array:
        """The positions of the matches from one rank up to another."""
        return self.positions[max(start, 0) : max(end, 0)]

    def rank(self, at: int, before: Before) -> tuple[int, bool]:
        """How many matches come before a position, and whether it is one."""
        low = _place(self.positions, at, before)
        return low, low < len(self.positions) and int(self.positions[low]) == at


Matches = InPlace | Listed


def _place(positions: Array, at: int, before: Before) -> int:
    low, high = 0, len(positions)
    while low < high:
        middle = (low + high) // 2
        if before(int(positions[middle]), at):
            low = middle + 1
        else:
            high = middle
    return low


@dataclass(slots=True)
class Order:
    """All positions in some order, and those that have to be put in their place again. `positions` is None when it is
    the order of the positions themselves, rising or falling."""

    positions: Array | None
    falling: bool = False
    touched: set[int] = field(default_factory=set)

    def matches(self, mask: Mask) -> Matches:
        """The matches of a mask in this order."""
        if self.positions is None:
            return InPlace(mask, self.falling)
        return Listed(self.positions[mask[self.positions]])

    def settle(self, rows: int, before: Before) -> None:
        """Put the touched rows in their places; there are `rows` rows in all."""
        if self.positions is not None or not self._still_in_place(rows, before):
            self.positions = self._merged(rows, before)
        self.touched.clear()

    def _still_in_place(self, rows: int, before: Before) -> bool:
        """Whether each touched row stands rightly beside its neighbours."""
        step = -1 if self.falling else 1
        for at in self.touched:
            earlier, later = at - step, at + step
            if (0 <= earlier < rows and not before(earlier, at)) or (0 <= later < rows and not before(at, later)):
                return False
        return True

    def _merged(self, rows: int, before: Before) -> Array:
        def compare(one: int, other: int) -> int:
            return -1 if before(one, other) else 1

        moved = sorted(self.touched, key=cmp_to_key(compare))
        positions = self.positions
        if positions is None:
            positions = np.arange(rows, dtype=np.int32)[:: -1 if self.falling else 1]
        absent = np.ones(rows, np.bool_)
        absent[moved] = False
        positions = positions[absent[positions]]
        return np.insert(positions, [_place(positions, at, before) for at in moved], moved)


def order_of(positions: Array) -> Order:
    """The order of positions that are already in it."""
    if (positions[:-1] < positions[1:]).all():
        return Order(None)
    if (positions[:-1] > positions[1:]).all():
        return Order(None, falling=True)
    return Order(positions)
