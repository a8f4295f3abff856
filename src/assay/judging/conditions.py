"""Run conditions: expression trees that decide, item by item, whether a task runs.

A node is an object with `op`; a bare JSON scalar stands for a constant. Values are compared as JSON: numbers by
value, a boolean is no number, null equals null, values of different types are not equal and have no order. Texts
are ordered by code point. Only `true` counts as true; what a `var` points at and is not there is null.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from assay.core.locators import PREFIX, parse_locator

Loc = tuple[str | int, ...]
Fault = tuple[Loc, str]

MOST_LEVELS = 32
MOST_NODES = 1000

_COMPARISONS = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})
_LOGIC = frozenset({"and", "or", "not"})
_MEMBERSHIP = frozenset({"in", "not_in"})
_NULLITY = frozenset({"is_null", "is_not_null"})
_BOOLEAN = _COMPARISONS | _LOGIC | _MEMBERSHIP | _NULLITY
_OPEN = object()
"""The value of what is not known yet: neither true nor false, neither null nor not."""
_KNOWN = ", ".join(sorted(_BOOLEAN | {"const", "var"}))


def condition_faults(tree: Any) -> list[Fault]:
    """What is wrong with a condition, each fault with its place in it; empty for a good one."""
    faults: list[Fault] = []
    nodes = 0
    todo: list[tuple[Loc, Any, int]] = [((), tree, 1)]
    while todo and not faults:
        loc, node, level = todo.pop(0)
        nodes += 1
        if level > MOST_LEVELS:
            faults.append((loc, f"nested more than {MOST_LEVELS} levels deep"))
        elif nodes > MOST_NODES:
            faults.append(((), f"more than {MOST_NODES} nodes"))
        elif isinstance(node, Mapping):
            faults.extend(((*loc, *inner), message) for inner, message in _node_faults(node))
            todo.extend(((*loc, *inner), below, level + 1) for inner, below in _below(node))
        elif isinstance(node, list):
            faults.append((loc, "must be a node (an object with op) or a scalar, not a list"))
    return faults or list(_root_faults(tree))


def _root_faults(tree: Any) -> Iterator[Fault]:
    if not _is_truth(tree):
        yield (), "must be true or false for an item: use a comparison, a logical operator or a constant true or false"
    elif isinstance(tree, Mapping) and tree.get("op") == "var":
        yield (), 'a var alone is a value, not a condition: write {"op": "eq", "left": <var>, "right": true}'


def _is_truth(node: Any) -> bool:
    """Whether a node can be true: anything but a constant of another kind."""
    if not isinstance(node, Mapping):
        return isinstance(node, bool)
    return node.get("op") != "const" or isinstance(node.get("value"), bool)


def _node_faults(node: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with a node itself."""
    op = node.get("op")
    if not isinstance(op, str) or (op not in _BOOLEAN and op not in ("const", "var")):
        yield ("op",), f"{'is missing' if op is None else 'is unknown'}; there are: {_KNOWN}"
    elif op == "const":
        if "value" not in node:
            yield ("value",), "is missing"
        elif isinstance(node["value"], dict | list):
            yield ("value",), "must be text, a number, true, false or null"
    elif op == "var":
        path = node.get("path")
        if not isinstance(path, str) or not path or path == PREFIX:
            yield ("path",), "must be the locator of a value, such as 'item.<column>'"
    else:
        yield from _operand_faults(op, node)


def _operand_faults(op: str, node: Mapping[str, Any]) -> Iterator[Fault]:
    if op in _COMPARISONS or op in _MEMBERSHIP:
        for side in ("left", "right") if op in _COMPARISONS else ("left",):
            if side not in node:
                yield (side,), "is missing"
    if op in _COMPARISONS:
        return
    operands = node.get("operands")
    if not isinstance(operands, list):
        yield ("operands",), "is missing" if operands is None else "must be a list of nodes"
    elif op in _LOGIC:
        for index, operand in enumerate(operands):
            if not isinstance(operand, list) and not _is_truth(operand):
                yield ("operands", index), "must be true or false, or a node that can be"


def _below(node: Mapping[str, Any]) -> Iterator[tuple[Loc, Any]]:
    """The nodes that a node is made of, with their places."""
    op = node.get("op")
    if not isinstance(op, str):
        return
    if op in _COMPARISONS:
        sides: Sequence[str] = ("left", "right")
    else:
        sides = ("left",) if op in _MEMBERSHIP else ()
    yield from (((side,), node[side]) for side in sides if side in node)
    if (op in _LOGIC or op in _MEMBERSHIP or op in _NULLITY) and isinstance(node.get("operands"), list):
        yield from ((("operands", index), operand) for index, operand in enumerate(node["operands"]))


def condition_paths(tree: Any) -> list[tuple[Loc, str]]:
    """The places of a good condition's paths, and each path as a locator."""
    found: list[tuple[Loc, str]] = []
    todo: list[tuple[Loc, Any]] = [((), tree)]
    while todo:
        loc, node = todo.pop(0)
        if not isinstance(node, Mapping):
            continue
        if node.get("op") == "var":
            found.append(((*loc, "path"), _locator(node["path"])))
        todo.extend(((*loc, *inner), below) for inner, below in _below(node))
    return found


def _locator(path: str) -> str:
    return path if path.startswith(PREFIX) else PREFIX + path


def holds(tree: Any, item: Mapping[str, Any]) -> bool:
    """Whether a good condition is true. `item` holds the values by locator; what is not there is null."""
    return _value(tree, item) is True


def may_hold(tree: Any, item: Mapping[str, Any], unknown: Collection[str]) -> bool:
    """Whether a good condition is true, or may yet be, when the columns `unknown` have no value yet."""
    later = {locator: _OPEN for _, locator in condition_paths(tree) if parse_locator(locator, unknown) is not None}
    value = _value(tree, {**item, **later})
    return value is True or value is _OPEN


def _value(node: Any, item: Mapping[str, Any]) -> Any:
    if not isinstance(node, Mapping):
        return node
    op: str = node["op"]
    if op == "const":
        return node["value"]
    if op == "var":
        return item.get(_locator(node["path"]))
    if op in _COMPARISONS:
        left, right = _value(node["left"], item), _value(node["right"], item)
        return _OPEN if left is _OPEN or right is _OPEN else _OPERATORS[op](left, right)
    operands = [_value(operand, item) for operand in node["operands"]]
    if op in _LOGIC:
        if op == "or":
            return _any(value if value is _OPEN else value is True for value in operands)
        some_not = _any(value if value is _OPEN else value is not True for value in operands)
        return some_not if op == "not" else _negated(some_not)
    if op in _MEMBERSHIP:
        left = _value(node["left"], item)
        found = _any(_OPEN if left is _OPEN or value is _OPEN else equal(left, value) for value in operands)
        return found if op == "in" else _negated(found)
    return _negated(_any(value if value is _OPEN else (value is None) is not (op == "is_null") for value in operands))


def _any(truths: Iterable[Any]) -> Any:
    """Whether one of them is true; open while none is and one may be."""
    found: Any = False
    for truth in truths:
        if truth is True:
            return True
        if truth is _OPEN:
            found = _OPEN
    return found


def _negated(truth: Any) -> Any:
    return _OPEN if truth is _OPEN else not truth


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, true is not 1."""
    if _is_number(left) or _is_number(right):
        return _is_number(left) and _is_number(right) and bool(left == right)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return type(left) is type(right) and bool(left == right)


def _ordered(left: Any, right: Any) -> bool:
    return (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": equal,
    "ne": lambda left, right: not equal(left, right),
    "lt": lambda left, right: _ordered(left, right) and bool(left < right),
    "lte": lambda left, right: _ordered(left, right) and bool(left <= right),
    "gt": lambda left, right: _ordered(left, right) and bool(left > right),
    "gte": lambda left, right: _ordered(left, right) and bool(left >= right),
}
