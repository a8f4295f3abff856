"""The index of one account's evaluations in memory: which pass, how many, and in what order.

Rows have positions in the order in which they came; `place` finds a row's position by its sequence number. It
knows nothing of databases: `indexes` feeds it rows and asks it for selections.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from operator import contains
from typing import Any

import numpy as np

from assay.adapters.storage.columns import KINDS, Array, Column, Growing, Mask, TagColumn
from assay.adapters.storage.orders import Matches, Order, order_of
from assay.adapters.storage.signatures import signature_of_part, signatures
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
"""Orders and answers kept: at most 4 bytes each an evaluation."""

_ACTIVE, _ARCHIVED, _GONE = 0, 1, 2
_LAST_NUMBER = 2**63 - 1
_SEARCHED = "name_folded"
"""The column that names are searched in."""
_LAST_TEXT = "\U0010ffff"
_TEXTS = frozenset((str, list))
_PLAIN = frozenset((str, int, float, bool, list))

_Cells = dict[str, tuple[list[int], list[Any]]]
"""By key, the positions that have a value, and those values."""


@dataclass(frozen=True, slots=True)
class IndexRows:
    """What the index takes of some evaluations, each different, column by column. `extra` holds the values of the
    further columns that it keeps, by their names."""

    seqs: Sequence[int]
    archived: Sequence[Any]
    statuses: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    metadata: Sequence[Mapping[str, Any] | None]
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)


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
        self._signatures = Growing(np.uint64, 0)
        self._status = Column()
        self._tags = TagColumn()
        self._columns: dict[str, Column] = {}
        self._orders: dict[tuple[Sort, ...], Order] = {}
        self._kept: dict[tuple[Any, ...], Matches] = {}

    def __len__(self) -> int:
        return self._seqs.length

    def keep(self, name: str, values: Mapping[int, Any], *, numeric: bool) -> None:
        """Keep a further column, given by sequence number: for orders, or names to search."""
        ordered = [values.get(seq) for seq in self._seqs.values.tolist()]
        if numeric:
            self.extra[name] = array("q", map(_number_key, ordered))
        else:
            same: dict[str, str] = {}  # equal texts are kept once
            self.extra[name] = [same.setdefault(text, text) for text in map(_text_key, ordered)]
        if name == _SEARCHED:
            self._signatures.replace(signatures(self.extra[name]))

    def apply(self, rows: IndexRows, gone: Sequence[int] = ()) -> None:
        """Take in rows that are new or have changed, and forget those that are gone."""
        seqs = np.array(rows.seqs, np.int64)
        places = self._places(seqs)
        fresh = places < 0
        removed = self._places(np.array(gone, np.int64))
        removed = removed[removed >= 0]
        old = np.concatenate((places[~fresh], removed))
        if len(old):
            for column in (self._status, *self._columns.values()):
                column.forget(old)
            self._states.values[removed] = _GONE
        start = len(self)
        self._append(seqs[fresh])
        places[fresh] = np.arange(start, len(self))
        if len(places):
            self._fill(places, rows)
        for order in self._orders.values():
            order.touched.update(range(start, len(self)))
        self._kept.clear()

    def _places(self, seqs: Array) -> Array:
        """The positions of rows, -1 for those that are not here."""
        found = np.full(len(seqs), -1, np.int32)
        known = seqs < self._place.length
        found[known] = self._place.values[seqs[known]]
        return found

    def has(self, seq: int) -> bool:
        """Whether a row with that sequence number is, or was, here."""
        return self._position(seq) is not None

    def _position(self, seq: int) -> int | None:
        if seq >= self._place.length:
            return None
        found = int(self._place.values[seq])
        return None if found < 0 else found

    def _append(self, seqs: Array) -> None:
        if not len(seqs):
            return
        start = len(self)
        self._seqs.extend(seqs)
        self._states.grow(len(self))
        self._place.grow(int(seqs.max()) + 1)
        self._place.values[seqs] = np.arange(start, len(self))
        for values in self.extra.values():
            values.extend([0 if isinstance(values, array) else ""] * len(seqs))

    def _fill(self, places: Array, rows: IndexRows) -> None:
        self._states.values[places] = [_ARCHIVED if archived else _ACTIVE for archived in rows.archived]
        self._status.put(len(self), places, rows.statuses)
        self._tags.put(len(self), places, rows.tags)
        self._fill_metadata(places, rows.metadata)
        for name, given in rows.extra.items():
            values = self.extra[name]
            keys: list[Any] = list(map(_number_key if isinstance(values, array) else _text_key, given))
            if name == _SEARCHED:
                self._signatures.put(len(self), places, signatures(keys))
            for place, key in zip(places.tolist(), keys, strict=True):
                if values[place] != key:
                    values[place] = key
                    self._touch(name, place)

    def _fill_metadata(self, places: Array, documents: Sequence[Mapping[str, Any] | None]) -> None:
        cells: _Cells = {}
        _gather(places.tolist(), documents, "", cells)
        for key, (positions, values) in cells.items():
            self._put(key, np.array(positions, np.int32), values)

    def _put(self, key: str, positions: Array, values: Sequence[Any]) -> None:
        """Store a key's values. An object is no value of its own: such a key is answered by reading rows."""
        kinds = set(map(type, values))
        if dict in kinds:
            self.unheld.add(key)
            held = [type(value) is not dict for value in values]
            positions, values = positions[held], [value for value in values if type(value) is not dict]
            if not values:
                return
        column = self._columns.get(key)
        if column is None:
            if len(self._columns) >= MOST_KEYS or len(key) > LONGEST_TEXT:
                self.overflowed = True
                return
            column = self._columns[key] = Column()
        if list in kinds:
            values = [as_text(value) if type(value) is list else value for value in values]
        if kinds & _TEXTS and max(len(value) for value in values if type(value) is str) > LONGEST_TEXT:
            self.unheld.add(key)
            values = [value[:LONGEST_TEXT] if type(value) is str else value for value in values]
        column.put(len(self), positions, values)

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
            mask = self._named(fold(selection.name), np.flatnonzero(mask))
        return mask

    def _named(self, part: str, among: Array) -> Mask:
        """Which positions of some have that part in their folded name."""
        wanted = signature_of_part(part)
        if wanted:
            among = among[self._signatures.values[among] & wanted == wanted]
        names = map(self.extra[_SEARCHED].__getitem__, among.tolist())
        found = np.fromiter(map(contains, names, repeat(part)), np.bool_, len(among))
        mask = np.zeros(len(self), np.bool_)
        mask[among[found]] = True
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
        start, end = selection.offset, selection.offset + selection.limit
        if cursor is not None:
            at = self._position(cursor)
            assert at is not None
            rank, matches = matched.rank(at, partial(self._before, selection.sort))
            start = rank - selection.limit if selection.backwards else rank + matches
            end = start + selection.limit
        more = start > 0 if selection.backwards else end < matched.total
        return Found(self._seqs.values[matched.cut(start, end)].tolist(), matched.total, more)

    def _matched(self, selection: Selection, passing: Mapping[Filter, frozenset[int]]) -> Matches:
        """All rows that pass, in order; the last few answers are kept while nothing changes."""
        key = (selection.filters, selection.name, selection.tags, selection.include_archived, selection.sort)
        found = self._kept.pop(key, None)
        if found is None:
            found = self._order(selection.sort).matches(self.mask(selection, passing))
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

    def _order(self, sort: tuple[Sort, ...]) -> Order:
        order = self._orders.get(sort)
        if order is None or len(order.touched) > MERGED_AT_MOST:
            while len(self._orders) >= KEPT_ORDERS:
                del self._orders[next(iter(self._orders))]
            order = self._orders[sort] = order_of(self._sorted(sort))
        elif order.touched:
            order.settle(len(self), partial(self._before, sort))
        return order

    def _sorted(self, sort: tuple[Sort, ...]) -> Array:
        """All positions in the order of some columns, the sequence number last."""
        keys = [self._seqs.values if not sort[-1].descending else -self._seqs.values]
        for each in reversed(sort):
            values = self.extra[each.column]
            ranks = np.frombuffer(values, np.int64) if isinstance(values, array) else _ranks(values)
            keys.append(-ranks if each.descending else ranks.copy())
        return np.lexsort(keys).astype(np.int32)

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


def _gather(places: Iterable[int], documents: Iterable[Any], prefix: str, cells: _Cells) -> None:
    """Add the values of each dotted key, and where they are, as `flatten` finds them one document at a time. Here those
    with the same keys go together, which takes a fifth of the time. Only keys that have dots themselves can lead to
    one place in two ways."""
    shapes: dict[tuple[str, ...], tuple[list[int], list[Any]]] = {}
    for place, document in zip(places, documents, strict=True):
        if document:
            shape = tuple(document)
            alike = shapes.get(shape)
            if alike is None:
                alike = shapes[shape] = ([], [])
            alike[0].append(place)
            alike[1].append(document)
    for shape, (positions, some) in shapes.items():
        if any("." in key for key in shape):
            for place, document in zip(positions, some, strict=True):
                for key, value in flatten(document).items():
                    _add(cells, prefix + key, [place], [value])
        else:
            for key, values in zip(shape, zip(*map(dict.values, some), strict=True), strict=True):
                _gather_key(positions, values, prefix + key, cells)


def _gather_key(positions: Sequence[int], values: Sequence[Any], name: str, cells: _Cells) -> None:
    kinds = set(map(type, values))
    if kinds <= _PLAIN:
        _add(cells, name, positions, values)
        return
    present = [n for n, value in enumerate(values) if value is not None]
    _add(cells, name, [positions[n] for n in present], [values[n] for n in present])
    if dict in kinds:
        nested = [n for n in present if type(values[n]) is dict]
        _gather([positions[n] for n in nested], [values[n] for n in nested], name + ".", cells)


def _add(cells: _Cells, key: str, positions: Sequence[int], values: Sequence[Any]) -> None:
    cell = cells.get(key)
    if cell is None:
        cell = cells[key] = ([], [])
    cell[0].extend(positions)
    cell[1].extend(values)


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
