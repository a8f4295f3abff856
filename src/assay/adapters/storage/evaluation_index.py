"""The index of one account's evaluations in memory: which pass, how many, and in what order.

Rows have positions in the order in which they came; `place` finds a row's position by its sequence number. It
knows nothing of databases: `indexes` feeds it rows and asks it for selections.
"""

import functools
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.adapters.storage.columns import KINDS, Array, Column, Growing, Mask, TagColumn
from assay.core.filters import NEGATIONS, STATUS, TAG, Filter, as_text, flatten, folded_values
from assay.core.folding import fold
from assay.core.selection import Found, Selection, Sort

MOST_KEYS = 5_000
"""Keys with a column; those of an account that invents more are answered by reading rows."""
LONGEST_TEXT = 1_000
"""Characters of a key, or of a value's text, that a column takes; longer ones are answered by reading rows."""
MERGED_AT_MOST = 2_000
"""Rows that are moved within a kept order one by one; with more, the order is made anew."""
KEPT_SELECTIONS = 4
KEPT_ORDERS = 12
"""Orders and answers kept: 4 bytes each an evaluation."""

_ACTIVE, _ARCHIVED, _GONE = 0, 1, 2
_LAST_NUMBER = 2**63 - 1
_LAST_TEXT = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class IndexRow:
    """What the index takes of an evaluation. `extra` holds the values of the further columns that it keeps."""

    seq: int
    archived: bool
    status: str
    tags: Sequence[str]
    metadata: Mapping[str, Any] | None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Order:
    """All positions in the order of some columns, and those that have to be put in their place again."""

    positions: Array
    touched: set[int] = field(default_factory=set)
    plain: bool = False

    def among(self, mask: Mask) -> Array:
        """The positions in a mask, in this order."""
        if self.plain:
            return np.flatnonzero(mask).astype(np.int32)
        return self.positions[mask[self.positions]]

    def settle(self) -> "_Order":
        """Notice whether it is the order of the positions themselves, as that of creation mostly is."""
        self.touched.clear()
        self.plain = bool((self.positions[:-1] < self.positions[1:]).all())
        return self


class AccountIndex:
    """One account's evaluations as of `version` of its change log."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.extra: dict[str, Any] = {}
        self.unheld: set[str] = set()
        self.overflowed = False
        self._seqs = Growing(np.int64, 0)
        self._states = Growing(np.int8, _GONE)
        self._place = Growing(np.int32, -1)
        self._status = Column()
        self._tags = TagColumn()
        self._columns: dict[str, Column] = {}
        self._orders: dict[tuple[Sort, ...], _Order] = {}
        self._kept: dict[tuple[Any, ...], Array] = {}

    def __len__(self) -> int:
        return self._seqs.length

    def keep(self, name: str, values: Mapping[int, Any], *, numeric: bool) -> None:
        """Keep a further column, given by sequence number: for orders, or names to search."""
        ordered = [values.get(seq) for seq in self._seqs.values.tolist()]
        self.extra[name] = array("q", map(_number_key, ordered)) if numeric else list(map(_text_key, ordered))

    def apply(self, rows: Sequence[IndexRow], gone: Sequence[int] = ()) -> None:
        """Take in rows that are new or have changed, and forget those that are gone."""
        known = [(self._position(row.seq), row) for row in rows]
        changed = [(place, row) for place, row in known if place is not None]
        added = [row for place, row in known if place is None]
        removed = [place for place in map(self._position, gone) if place is not None]
        if changed or removed:
            old = np.array([place for place, _ in changed] + removed, np.int32)
            for column in (self._status, *self._columns.values()):
                column.forget(old)
            self._states.values[removed] = _GONE
        start = len(self)
        self._append([row.seq for row in added])
        self._fill([*changed, *zip(range(start, len(self)), added, strict=True)])
        for order in self._orders.values():
            order.touched.update(range(start, len(self)))
        self._kept.clear()

    def has(self, seq: int) -> bool:
        """Whether a row with that sequence number is, or was, here."""
        return self._position(seq) is not None

    def _position(self, seq: int) -> int | None:
        if seq >= self._place.length:
            return None
        found = int(self._place.values[seq])
        return None if found < 0 else found

    def _append(self, seqs: Sequence[int]) -> None:
        if not seqs:
            return
        start = len(self)
        self._seqs.extend(seqs)
        self._states.grow(len(self))
        self._place.grow(max(seqs) + 1)
        self._place.values[list(seqs)] = np.arange(start, len(self))
        for values in self.extra.values():
            values.extend([0 if isinstance(values, array) else ""] * len(seqs))

    def _fill(self, placed: Sequence[tuple[int, IndexRow]]) -> None:
        if not placed:
            return
        positions = [place for place, _ in placed]
        rows = [row for _, row in placed]
        self._states.values[positions] = [_ARCHIVED if row.archived else _ACTIVE for row in rows]
        self._status.put(len(self), positions, [self._status.distinct.encode(row.status) for row in rows])
        codes = [self._tags.encode(tuple(map(fold, row.tags))) for row in rows]
        self._tags.put(len(self), positions, codes)
        self._fill_metadata(placed)
        for name, values in self.extra.items():
            key = _number_key if isinstance(values, array) else _text_key
            for place, row in placed:
                value = key(row.extra.get(name))
                if values[place] != value:
                    values[place] = value
                    self._touch(name, place)

    def _fill_metadata(self, placed: Sequence[tuple[int, IndexRow]]) -> None:
        cells: dict[str, tuple[list[int], list[int | float]]] = {}
        for place, row in placed:
            if not row.metadata:
                continue
            for key, value in flatten(row.metadata).items():
                code = self._encode(key, value)
                if code is None:
                    continue
                cell = cells.get(key)
                if cell is None:
                    cell = cells[key] = ([], [])
                cell[0].append(place)
                cell[1].append(code)
        for key, (positions, values) in cells.items():
            self._columns[key].put(len(self), positions, values)

    def _encode(self, key: str, value: Any) -> int | float | None:
        """The code of a key's value; None when the key has no column."""
        if type(value) is dict:
            self.unheld.add(key)
            return None
        column = self._columns.get(key)
        if column is None:
            if len(self._columns) >= MOST_KEYS or len(key) > LONGEST_TEXT:
                self.overflowed = True
                return None
            column = self._columns[key] = Column()
        if type(value) is str or type(value) is list:
            text = as_text(value)
            if len(text) > LONGEST_TEXT:
                self.unheld.add(key)
                text = text[:LONGEST_TEXT]
            return column.distinct.encode(text)
        return column.distinct.encode(value)

    def _touch(self, name: str, place: int) -> None:
        for sort, order in self._orders.items():
            if any(each.column == name for each in sort):
                order.touched.add(place)

    def holds(self, key: str) -> bool:
        """Whether filters on the key can be answered here; otherwise the rows must be read."""
        return key in (STATUS, TAG) or (key not in self.unheld and (key in self._columns or not self.overflowed))

    def mask(self, selection: Selection, passing: Mapping[Filter, frozenset[int]]) -> Mask:
        """Which positions a selection takes. `passing` has, for filters that are not held, the rows that pass."""
        states = self._states.values
        mask: Mask = states != _GONE if selection.include_archived else states == _ACTIVE
        for each in selection.filters:
            mask &= self._filtered(each, passing)
        for tag in selection.tags:
            mask &= self._tags.having(fold(tag))
        if selection.name:
            part, names = fold(selection.name), self.extra["name_folded"]
            some = np.flatnonzero(mask)
            mask[some] = np.fromiter((part in names[place] for place in some.tolist()), np.bool_, len(some))
        return mask

    def _filtered(self, each: Filter, passing: Mapping[Filter, frozenset[int]]) -> Mask:
        positive = NEGATIONS.get(each.operator)
        operator = positive or each.operator
        if each in passing:
            found = np.zeros(len(self), np.bool_)
            places = [self._position(seq) for seq in passing[each]]
            found[[place for place in places if place is not None]] = True
        elif each.key == TAG:
            found = self._tags.mask(operator, folded_values(each.values))
        elif each.key == STATUS:
            found = self._status.mask(len(self), operator, each.values)
        elif each.key in self._columns:
            found = self._columns[each.key].mask(len(self), operator, each.values)
        else:
            found = np.zeros(len(self), np.bool_)
        return ~found if positive else found

    def select(self, selection: Selection, cursor: int | None, passing: Mapping[Filter, frozenset[int]]) -> Found:
        """A page of a selection and its total. `cursor` is the sequence number of the row that it starts at."""
        matched = self._matched(selection, passing)
        total = len(matched)
        start, end = selection.offset, selection.offset + selection.limit
        if cursor is not None:
            start, end = self._window(selection, matched, cursor)
        shown = matched[max(start, 0) : max(end, 0)]
        more = start > 0 if selection.backwards else end < total
        return Found(self._seqs.values[shown].tolist(), total, more)

    def _window(self, selection: Selection, matched: Array, cursor: int) -> tuple[int, int]:
        """Where in the matches a page after, or before, the cursor's row begins and ends."""
        at = self._position(cursor)
        assert at is not None
        low, high = 0, len(matched)
        while low < high:
            middle = (low + high) // 2
            if self._before(selection.sort, int(matched[middle]), at):
                low = middle + 1
            else:
                high = middle
        if selection.backwards:
            return low - selection.limit, low
        after = low + 1 if low < len(matched) and matched[low] == at else low
        return after, after + selection.limit

    def _matched(self, selection: Selection, passing: Mapping[Filter, frozenset[int]]) -> Array:
        """The positions of all rows that pass, in order; the last few answers are kept while nothing changes."""
        key = (selection.filters, selection.name, selection.tags, selection.include_archived, selection.sort)
        found = self._kept.pop(key, None)
        if found is None:
            mask = self.mask(selection, passing)
            found = self._order(selection.sort).among(mask)
            while len(self._kept) >= KEPT_SELECTIONS:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = found
        return found

    def needs(self, sort: tuple[Sort, ...]) -> bool:
        """Whether the order must be made from nothing, which takes a while at a million rows."""
        order = self._orders.get(sort)
        return order is None or len(order.touched) > MERGED_AT_MOST

    def sort(self, sort: tuple[Sort, ...]) -> None:
        """Make an order now; may be called in another thread while nobody else uses the index."""
        self._order(sort)

    def _order(self, sort: tuple[Sort, ...]) -> _Order:
        order = self._orders.get(sort)
        if order is None or len(order.touched) > MERGED_AT_MOST:
            while len(self._orders) >= KEPT_ORDERS:
                del self._orders[next(iter(self._orders))]
            order = self._orders[sort] = _Order(self._sorted(sort)).settle()
        elif order.touched:
            order.positions = self._merged(sort, order)
            order.settle()
        return order

    def _sorted(self, sort: tuple[Sort, ...]) -> Array:
        """All positions in the order of some columns, the sequence number last."""
        keys = [self._seqs.values if not sort[-1].descending else -self._seqs.values]
        for each in reversed(sort):
            values = self.extra[each.column]
            ranks = np.frombuffer(values, np.int64) if isinstance(values, array) else _ranks(values)
            keys.append(-ranks if each.descending else ranks.copy())
        return np.lexsort(keys).astype(np.int32)

    def _merged(self, sort: tuple[Sort, ...], order: _Order) -> Array:
        """The order with the touched rows where they belong now."""

        def compare(one: int, other: int) -> int:
            return -1 if self._before(sort, one, other) else 1

        moved = sorted(order.touched, key=functools.cmp_to_key(compare))
        positions = order.positions
        if min(moved) < len(positions):
            absent = np.ones(len(self), np.bool_)
            absent[moved] = False
            positions = positions[absent[positions]]
        places = []
        for place in moved:
            low, high = 0, len(positions)
            while low < high:
                middle = (low + high) // 2
                if self._before(sort, int(positions[middle]), place):
                    low = middle + 1
                else:
                    high = middle
            places.append(low)
        return np.insert(positions, places, moved)

    def _before(self, sort: tuple[Sort, ...], one: int, other: int) -> bool:
        for each in sort:
            values = self.extra[each.column]
            first, second = values[one], values[other]
            if first != second:
                return bool((first < second) != each.descending)
        seqs = self._seqs.values
        return bool(seqs[one] != seqs[other] and (seqs[one] < seqs[other]) != sort[-1].descending)

    def keys(self, *, include_archived: bool) -> list[tuple[str, dict[str, int], dict[str, int] | None]]:
        """Every held key with its counts by type, and its values with their counts when there are few."""
        states = self._states.values
        shown = states != _GONE if include_archived else states == _ACTIVE
        described = []
        for key, column in self._columns.items():
            types, values = _describe(column, len(self), shown)
            if types:
                described.append((key, types, None if key in self.unheld else values))
        return described


MOST_VALUES = 50
"""Different values of a key up to which they are counted one by one."""
_SAMPLE = 2_000


def _describe(column: Column, rows: int, shown: Mask) -> tuple[dict[str, int], dict[str, int] | None]:
    """How often a column's values are of each kind, and each value if there are few."""
    counts, numbers = column.count(rows, shown)
    often = np.bincount(np.frombuffer(bytes(column.distinct.kinds), np.uint8), counts, len(KINDS)).astype(np.int64)
    often[KINDS.index("number")] += len(numbers)
    types = {kind: int(count) for kind, count in zip(KINDS, often, strict=True) if count}
    present = np.flatnonzero(counts)
    if len(present) > MOST_VALUES or len(np.unique(numbers[:_SAMPLE])) > MOST_VALUES:
        return types, None
    distinct, times = np.unique(numbers, return_counts=True)
    if len(present) + len(distinct) > MOST_VALUES:
        return types, None
    values = {column.distinct.texts[code]: int(counts[code]) for code in present.tolist()}
    return types, values | {as_text(n): count for n, count in zip(distinct.tolist(), times.tolist(), strict=True)}


def _number_key(value: Any) -> int:
    return _LAST_NUMBER if value is None else int(value)


def _text_key(value: Any) -> str:
    return _LAST_TEXT if value is None else value


def _ranks(values: Sequence[str]) -> Array:
    """Where each text is among the distinct ones in order."""
    ranks = {text: rank for rank, text in enumerate(sorted(set(values)))}
    return np.fromiter((ranks[text] for text in values), np.int64, len(values))
