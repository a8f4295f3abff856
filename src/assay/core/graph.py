"""The task graph: which task waits for which, and an order in which they can run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class Cycle(Exception):
    """Tasks that wait for each other; `aliases` is the cycle, its first alias repeated at the end."""

    def __init__(self, aliases: Sequence[str]) -> None:
        super().__init__(" -> ".join(aliases))
        self.aliases = tuple(aliases)


@dataclass(frozen=True, slots=True)
class Node:
    """A task: the columns it writes (its alias first, then its outputs) and the columns it reads."""

    alias: str
    writes: tuple[str, ...]
    reads: frozenset[str]


def dependencies(nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """For each task the aliases of the tasks it waits for, in the order of the tasks.

    A column that is read and that no task writes is the item's own data and adds nothing.
    """
    writer = {column: node.alias for node in nodes for column in node.writes}
    order = {node.alias: index for index, node in enumerate(nodes)}
    return {
        node.alias: tuple(sorted({writer[column] for column in node.reads if column in writer}, key=order.__getitem__))
        for node in nodes
    }


def topological_order(waits_for: Mapping[str, Sequence[str]]) -> list[str]:
    """The aliases so that each comes after all that it waits for; otherwise in the order given.

    Raises Cycle, naming one, when there is none (a task that waits for itself is a cycle of one).
    """
    done: set[str] = set()
    order: list[str] = []
    for root in waits_for:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            alias, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(alias)
                if alias not in done:
                    done.add(alias)
                    order.append(alias)
                continue
            if alias in on_path:
                raise Cycle([*path[path.index(alias) :], alias])
            if alias in done:
                continue
            path.append(alias)
            on_path.add(alias)
            stack.append((alias, True))
            stack.extend((needed, False) for needed in reversed(waits_for[alias]))
    return order
