"""The task graph against brute force: orders, dependencies and cycles."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.graph import Cycle, Node, dependencies, topological_order

NAMES = list("abcdefgh")


@st.composite
def any_graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Any directed graph on up to eight aliases, cycles and self-loops included."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    edges = st.lists(st.sampled_from(names), unique=True, max_size=3) if names else st.just([])
    return {name: tuple(draw(edges)) for name in names}


@st.composite
def acyclic_graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """A graph in which each alias waits only for aliases that come earlier in a hidden order."""
    hidden = draw(st.permutations(NAMES))
    waits = {
        name: tuple(draw(st.lists(st.sampled_from(hidden[:place]), unique=True))) if place else ()
        for place, name in enumerate(hidden)
    }
    return {name: waits[name] for name in draw(st.permutations(hidden))}


def reachable(graph: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Everything that each alias waits for, directly or not, by repeated squaring of the relation."""
    closure = {name: set(needed) for name, needed in graph.items()}
    for _ in graph:
        closure = {name: found.union(*(closure[other] for other in found)) for name, found in closure.items()}
    return closure


def is_cyclic(graph: Mapping[str, Sequence[str]]) -> bool:
    return any(name in found for name, found in reachable(graph).items())


@given(acyclic_graphs())
def test_each_task_comes_after_all_that_it_waits_for(graph: dict[str, tuple[str, ...]]) -> None:
    order = topological_order(graph)

    assert sorted(order) == sorted(graph)
    for name, needed in graph.items():
        assert all(order.index(other) < order.index(name) for other in needed)


@given(any_graphs())
def test_exactly_the_graphs_with_a_cycle_are_rejected(graph: dict[str, tuple[str, ...]]) -> None:
    if not is_cyclic(graph):
        assert len(topological_order(graph)) == len(graph)
        return
    with pytest.raises(Cycle) as caught:
        topological_order(graph)
    walk = caught.value.aliases
    assert len(walk) >= 2
    assert walk[0] == walk[-1]
    assert all(after in graph[before] for before, after in pairwise(walk))
    assert len(set(walk[:-1])) == len(walk) - 1


@given(st.permutations(NAMES))
def test_tasks_that_wait_for_nothing_keep_the_order_they_were_given_in(names: list[str]) -> None:
    assert topological_order(dict.fromkeys(names, ())) == list(names)


@given(acyclic_graphs())
def test_a_task_moves_only_when_something_waits_for_it(graph: dict[str, tuple[str, ...]]) -> None:
    order = topological_order(graph)
    given_order = list(graph)
    ahead_of_time = reachable(graph)
    for place, name in enumerate(order):
        for earlier in order[:place]:
            if given_order.index(earlier) < given_order.index(name):
                continue
            later_needs_it = any(
                earlier in ahead_of_time[other]
                for other in given_order
                if given_order.index(other) <= given_order.index(earlier)
            )
            assert later_needs_it, (graph, order, earlier, name)


def test_what_a_task_waits_for_comes_in_the_order_given() -> None:
    assert topological_order({"c": ("a", "b"), "a": (), "b": ()}) == ["a", "b", "c"]


def test_a_task_that_waits_for_itself_is_a_cycle_of_one() -> None:
    with pytest.raises(Cycle, match=r"^a -> a$"):
        topological_order({"a": ("a",)})


def test_a_chain_of_ten_thousand_tasks_is_no_problem() -> None:
    chain = {str(place): (str(place + 1),) if place < 9_999 else () for place in range(10_000)}

    assert topological_order(chain) == [str(place) for place in reversed(range(10_000))]


@st.composite
def node_lists(draw: st.DrawFn) -> list[Node]:
    """Tasks whose written columns are distinct; they read each other's columns and columns of the data."""
    count = draw(st.integers(0, 5))
    nodes = []
    for place in range(count):
        extra = [f"t{place}_{number}" for number in range(draw(st.integers(0, 2)))]
        nodes.append((f"t{place}", (f"t{place}", *extra)))
    columns = [column for _, writes in nodes for column in writes] + ["question", "answer"]
    return [
        Node(alias, writes, draw(st.frozensets(st.sampled_from(columns), max_size=4)))
        for alias, writes in draw(st.permutations(nodes))
    ]


@given(node_lists())
def test_a_task_waits_for_exactly_the_writers_of_what_it_reads(nodes: list[Node]) -> None:
    waits = dependencies(nodes)

    assert list(waits) == [node.alias for node in nodes]
    for node in nodes:
        expected = [other.alias for other in nodes if any(column in node.reads for column in other.writes)]
        assert list(waits[node.alias]) == expected
