"""Model calls: which are the same, which ask for one answer, what they hold and cost."""

from typing import Any

import pytest

from assay.core.model_calls import CallSums, ModelCall, Price

CHAT = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0}


def test_calls_are_the_same_whatever_the_order_of_their_parameters() -> None:
    turned = dict(reversed(CHAT.items()))

    assert ModelCall("v/m", CHAT).key("e") == ModelCall("v/m", turned).key("e")


@pytest.mark.parametrize(
    ("other", "endpoint"),
    [
        (ModelCall("v/other", CHAT), "e"),
        (ModelCall("v/m", CHAT, "inference"), "e"),
        (ModelCall("v/m", CHAT), "elsewhere"),
        (ModelCall("v/m", {**CHAT, "temperature": 0.0001}), "e"),
        (ModelCall("v/m", {**CHAT, "max_tokens": 1}), "e"),
        (ModelCall("v/m", {**CHAT, "messages": [{"role": "user", "content": "hi "}]}), "e"),
        (ModelCall("v/m", {**CHAT, "messages": [{"role": "system", "content": "hi"}]}), "e"),
    ],
)
def test_calls_that_differ_in_anything_are_not_the_same(other: ModelCall, endpoint: str) -> None:
    assert other.key(endpoint) != ModelCall("v/m", CHAT).key("e")


def test_any_text_has_a_key_and_what_is_no_json_has_none() -> None:
    assert ModelCall("v/m", {"prompt": "\ud800 \x00"}).key("e")
    with pytest.raises(ValueError, match="Out of range"):
        ModelCall("v/m", {"top_p": float("nan")}).key("e")


@pytest.mark.parametrize(
    ("request_", "one"),
    [
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": 1, "seed": 0}, True),
        ({"temperature": False}, False),
        ({"temperature": None, "seed": None}, False),
        ({"temperature": 0.1}, False),
        ({}, False),
    ],
)
def test_a_call_asks_for_one_answer_at_temperature_0_or_with_a_seed(request_: dict[str, Any], one: bool) -> None:
    assert ModelCall("v/m", request_).asks_for_one_answer is one


@pytest.mark.parametrize(
    ("request_", "most"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "n": 3}, 15),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": "item.x"}, None),
        ({"max_tokens": True}, None),
    ],
)
def test_the_most_completion_tokens_are_what_the_request_allows(request_: dict[str, Any], most: int | None) -> None:
    assert ModelCall("v/m", request_).most_completion_tokens == most


def test_a_prompts_characters_are_those_of_its_texts_wherever_they_stand() -> None:
    parts = [{"type": "text", "text": "four"}, {"type": "text", "text": "12"}]
    request = {"messages": [{"role": "system", "content": "abc"}, {"role": "user", "content": parts}], "user": "x" * 50}

    assert ModelCall("v/m", request).prompt_characters == 9


def test_a_price_is_of_a_million_tokens() -> None:
    assert Price(2.0, 10.0).of(1_000_000, 500_000) == 7.0


def test_sums_add_member_by_member() -> None:
    assert CallSums(1, 2, 3, 4, 5) + CallSums(10, 20, 30, 40, 50) == CallSums(11, 22, 33, 44, 55)
