"""Spans by themselves: rings of parents, reported tokens, search terms and searchable text."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.spans import SpanLink, find_cycle, searchable_text, span_problems, split_terms, supersedes
from tests.builders.spans import make_new_span, make_span


def links(**parents: str | None) -> dict[str, SpanLink]:
    return {child: SpanLink(child, "t", parent) for child, parent in parents.items()}


def test_a_chain_of_parents_is_no_ring_and_a_ring_is_named_wherever_one_starts() -> None:
    assert find_cycle(links(a=None, b="a", c="b", d="unknown"), "abcd") is None
    assert find_cycle(links(a="c", b="a", c="b"), "a") == ("a", "c", "b")
    assert find_cycle(links(a="a"), "a") == ("a",)
    assert find_cycle(links(x="a", a="b", b="a"), "x") == ("a", "b")
    assert find_cycle(links(a="b", b="a", c=None), "c") is None


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdefg") | st.none()))
def test_a_ring_is_found_exactly_when_following_parents_never_ends(parents: dict[str, str | None]) -> None:
    def endless(start: str) -> bool:
        at: str | None = start
        for _ in range(len(parents) + 1):
            at = parents.get(at) if at is not None else None
        return at is not None

    found = find_cycle(links(**parents), parents)
    assert (found is not None) == any(map(endless, parents))
    if found is not None:
        assert [parents[each] for each in found] == [*found[1:], found[0]]


@pytest.mark.parametrize(
    ("metadata", "output", "tokens"),
    [
        (None, None, None),
        ({"usage": {"input_tokens": 1, "prompt_tokens": 2}}, {"usage": {"input_tokens": 3}}, 1),
        ({"usage": "much"}, {"usage": {"prompt_tokens": 3}}, 3),
        ({"prompt_tokens": 4}, {}, 4),
        ({"input_tokens": True}, None, None),
        ({"input_tokens": -1, "prompt_tokens": 1.5}, None, None),
        ({"input_tokens": 2**63}, None, None),
        ({"usage": {"input_tokens": 0}}, None, 0),
    ],
)
def test_tokens_are_those_that_the_producer_reported(metadata: object, output: object, tokens: int | None) -> None:
    assert make_span(metadata=metadata, output=output).input_tokens == tokens


def test_a_span_without_fault_has_no_problems() -> None:
    assert list(span_problems(make_new_span(obs_trace_id="0" * 32, obs_span_id="f" * 16))) == []
    assert list(span_problems(replace(make_new_span(), ended_at=make_new_span().started_at))) == []


@pytest.mark.parametrize(("newer", "older", "wins"), [(1, 1, True), (1, 0, True), (0, 0, True), (0, 1, False)])
def test_a_running_span_does_not_replace_a_finished_one(newer: int, older: int, wins: bool) -> None:
    done, running = make_span(), make_span(ended_at=None)
    assert supersedes((running, done)[newer], (running, done)[older]) is wins


def test_terms_are_texts_phrases_and_ids_of_traces() -> None:
    trace = "0189F7A4-0000-7000-8000-00000000000a"
    terms = [
        " two words ",
        '"a phrase"',
        r'"with \"quotes\" and \\"',
        '"open',
        'mid"dle"',
        r'"open\"',
        '"',
        trace,
        f'"{trace}"',
    ]
    texts, traces = split_terms(terms)
    assert traces == (trace,)
    assert texts == ("two words", "a phrase", 'with "quotes" and \\', '"open', 'mid"dle"', r'"open\"', '"', trace)


def test_every_key_and_value_is_searched_each_on_a_line_of_its_own() -> None:
    span = make_span(
        name="n",
        input={"q": ["x", {"deep": 1.5}]},
        output={"ok": True},
        metadata={"none": None},
        expected={"not": "this"},
    )
    assert searchable_text(span).split("\n") == ["n", "q", "x", "deep", "1.5", "ok", "true", "none"]
