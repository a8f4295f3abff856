"""Calls on behalf of an account: the cache, equal calls at the same time, prices, and a budget that is kept."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import Unavailable
from assay.core.model_calls import CacheMode, CallPolicy, CallSums, Price
from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.models import AnswerShape, ModelReply
from assay.ports.storage import Storage
from assay.services.model_calls import Budget, BudgetReached, CallLedger, ModelCalls, PriceTable
from tests.builders.stored import MovableClock, sqlite_storage

PRICES = PriceTable({"v": {"m": Price(1_000_000, 2_000_000), "*": Price(1, 1)}}, {"v": "here"})
"""A dollar a prompt token and two a completion token."""


class CountingModels:
    """Answers each chat with the last message, 1 prompt token and 1 completion token, when `gate` is open."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.shapes: list[AnswerShape] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: TaskError | None = None
        self.body: Any = None
        self.usage = Usage(0.5, 1, 1, 1)

    def problem(self, model: str) -> str | None:
        return None

    async def chat(self, model: str, request: Mapping[str, Any]) -> ModelReply:
        said = request["messages"][-1]["content"]
        self.calls.append(said)
        await self.gate.wait()
        if self.error is not None:
            return ModelReply(error=self.error, usage=Usage(0.5, 3))
        body = {"choices": [{"message": {"content": said}}]} if self.body is None else self.body
        return ModelReply(body=body, usage=self.usage)

    async def ask(self, model: str, request: Mapping[str, Any], shape: AnswerShape) -> ModelReply:
        self.shapes.append(shape)
        assert "answer_shape" not in request
        return await self.chat(model, request)

    async def infer(self, model: str, args: Mapping[str, Any], **more: Any) -> ModelReply:
        self.calls.append(f"infer {args}")
        return ModelReply(body=args, usage=self.usage)

    async def close(self) -> None: ...


class Setting:
    """Models over a storage, whose ledger can be asked to write."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.inner = CountingModels()
        self.ledger = CallLedger(storage, MovableClock(), flush_seconds=0.01)
        self.calls = ModelCalls(self.inner, self.ledger, PRICES)

    async def chat(
        self,
        said: str,
        cache: CacheMode = CacheMode.ON,
        *,
        account: str = "default",
        budget: Budget | None = None,
        **parameters: Any,
    ) -> ModelReply:
        models = self.calls.within(account, CallPolicy(cache), budget)
        return await models.chat("v/m", {"messages": [{"role": "user", "content": said}], **parameters})

    async def written(self) -> None:
        await self.ledger.close()


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with sqlite_storage(tmp_path) as storage:
        made = Setting(storage)
        yield made
        await made.ledger.close()


async def test_an_equal_call_is_answered_from_what_was_kept_and_says_so(setting: Setting) -> None:
    first = await setting.chat("a")
    await setting.written()
    again = await setting.chat("a")

    assert setting.inner.calls == ["a"]
    assert again.body == first.body
    assert first.usage == Usage(0.5, 1, 1, 1, cached=False, cost=3.0)
    assert again.usage == Usage(0.0, 0, 1, 1, cached=True, cost=0.0)


async def test_an_answer_is_there_before_it_is_written(setting: Setting) -> None:
    await setting.chat("a")

    assert (await setting.chat("a")).usage.cached


@pytest.mark.parametrize(
    ("mode", "parameters", "made"),
    [
        (CacheMode.ON, {}, 1),
        (CacheMode.OFF, {"temperature": 0}, 2),
        (CacheMode.READ, {"temperature": 0}, 2),
        (CacheMode.AUTO, {}, 2),
        (CacheMode.AUTO, {"temperature": 0}, 1),
        (CacheMode.AUTO, {"temperature": 0.7, "seed": 3}, 1),
    ],
)
async def test_what_is_kept_is_what_the_mode_says(
    setting: Setting, mode: CacheMode, parameters: dict[str, Any], made: int
) -> None:
    for _ in range(2):
        await setting.chat("a", mode, **parameters)
        await setting.written()

    assert len(setting.inner.calls) == made


async def test_reading_uses_what_another_evaluation_kept(setting: Setting) -> None:
    await setting.chat("a", CacheMode.ON)
    await setting.written()

    assert (await setting.chat("a", CacheMode.READ)).usage.cached
    assert not (await setting.chat("a", CacheMode.READ, account="other")).usage.cached


async def test_equal_calls_at_the_same_time_are_made_once(setting: Setting) -> None:
    setting.inner.gate.clear()
    asking = [asyncio.create_task(setting.chat(said)) for said in ("a", "a", "b", "a")]
    await asyncio.sleep(0.05)
    setting.inner.gate.set()
    replies = await asyncio.gather(*asking)

    assert sorted(setting.inner.calls) == ["a", "b"]
    assert [reply.usage.cached for reply in replies] == [False, True, False, True]


async def test_a_caller_that_goes_away_does_not_take_the_others_answer_with_it(setting: Setting) -> None:
    setting.inner.gate.clear()
    first, second = (asyncio.create_task(setting.chat("a")) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    setting.inner.gate.set()

    assert (await second).body is not None
    assert setting.inner.calls == ["a", "a"]


@pytest.mark.parametrize("fault", ["error", "no choices"])
async def test_what_is_no_answer_is_not_kept(setting: Setting, fault: str) -> None:
    if fault == "error":
        setting.inner.error = TaskError(ErrorType.INFERENCE_ERROR, "away")
    else:
        setting.inner.body = {"choices": []}
    await setting.chat("a")
    await setting.written()
    setting.inner.error, setting.inner.body = None, None

    reply = await setting.chat("a")

    assert reply.body["choices"]
    assert not reply.usage.cached


async def test_an_answer_of_another_shape_is_another_answer(setting: Setting) -> None:
    models = setting.calls.within("default", CallPolicy(CacheMode.ON), None)
    request = {"messages": [{"role": "user", "content": "a"}]}
    shapes = [AnswerShape("s", {"type": "object"}), AnswerShape("s", {"type": "object", "title": "t"})]
    setting.inner.body = {"choices": []}
    await models.ask("fake/m", request, shapes[0])
    setting.inner.body = None
    await models.chat("fake/m", request)
    await models.ask("fake/m", request, shapes[0])
    await models.ask("fake/m", request, shapes[1])
    kept = await models.ask("fake/m", request, shapes[0])

    assert kept.usage.cached
    assert setting.inner.calls == ["a", "a", "a", "a"], "what is no answer is not kept; a chat is no answer of a shape"
    assert setting.inner.shapes == [shapes[0], shapes[0], shapes[1]]


async def test_a_database_that_is_away_costs_the_cache_and_nothing_else(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise Unavailable("away")

    monkeypatch.setattr(setting.storage, "read", away)
    monkeypatch.setattr(setting.storage, "write", away)

    assert (await setting.chat("a")).body is not None
    await setting.written()


async def test_calls_are_counted_with_their_tokens(setting: Setting) -> None:
    await setting.chat("four", CacheMode.OFF)
    await setting.chat("sixsix", CacheMode.OFF)
    await setting.written()

    async with setting.storage.read() as unit:
        assert await unit.model_calls.sums("default", ["v/m"]) == {"v/m": CallSums(2, 10, 2, 2, 2)}


def test_a_price_is_the_models_own_or_the_vendors_for_others() -> None:
    assert PRICES.price("v/m") == Price(1_000_000, 2_000_000)
    assert PRICES.price("v/other") == Price(1, 1)
    assert PRICES.price("w/m") is None


async def test_a_budget_is_never_exceeded_by_calls_that_cost_what_they_were_expected_to(setting: Setting) -> None:
    budget = Budget(30.0, spent=3.0)
    setting.inner.gate.clear()
    # Each is expected to cost 4 / 3 + 10 dollars for the prompt and 2 for the answer, and costs 3.
    asking = [
        asyncio.create_task(setting.chat(f"{n:04}", CacheMode.OFF, budget=budget, max_tokens=1)) for n in range(20)
    ]
    await asyncio.sleep(0.05)
    setting.inner.gate.set()
    replies = await asyncio.gather(*asking, return_exceptions=True)

    refused = [reply for reply in replies if isinstance(reply, BudgetReached)]
    assert len(setting.inner.calls) == 5
    assert len(refused) == 15
    assert budget.spent == 18.0
    assert budget.reached


async def test_a_budget_is_used_up_once_it_has_learned_what_calls_cost(setting: Setting) -> None:
    budget = Budget(99.0, spent=0.0)
    for n in range(33):
        await setting.chat(f"{n:04}", CacheMode.OFF, budget=budget, max_tokens=1000 if n > 20 else 1)

    with pytest.raises(BudgetReached):
        await setting.chat("more", CacheMode.OFF, budget=budget)
    assert budget.spent == 99.0


async def test_a_call_that_does_not_fit_waits_for_those_in_flight_and_goes_on_when_they_cost_less(
    setting: Setting,
) -> None:
    budget = Budget(40.0, spent=0.0)
    # Each is expected to cost 4 / 3 + 10 + 2 * 10 dollars and costs 3: the second waits for the first.
    first, second = [
        asyncio.create_task(setting.chat(said, CacheMode.OFF, budget=budget, max_tokens=10))
        for said in ("aaaa", "bbbb")
    ]
    setting.inner.gate.clear()
    await asyncio.sleep(0.05)
    assert setting.inner.calls == ["aaaa"]
    setting.inner.gate.set()
    await asyncio.gather(first, second)

    assert budget.spent == 6.0
    assert not budget.reached


async def test_an_answer_from_the_cache_needs_no_budget(setting: Setting) -> None:
    await setting.chat("a")

    reply = await setting.chat("a", budget=Budget(1.0, spent=1.0))

    assert reply.usage.cost == 0.0


async def test_an_answer_that_does_not_say_its_tokens_is_taken_to_have_cost_what_was_expected(setting: Setting) -> None:
    setting.inner.usage = Usage(0.5)
    budget = Budget(100.0, spent=0.0)

    reply = await setting.chat("aaaa", CacheMode.OFF, budget=budget, max_tokens=2)

    assert reply.usage.cost == budget.spent == pytest.approx(4 / 3 + 10 + 4)


async def test_a_call_that_fails_costs_nothing_and_gives_its_share_back(setting: Setting) -> None:
    setting.inner.error = TaskError(ErrorType.TIMEOUT, "slow")
    budget = Budget(20.0, spent=0.0)

    for _ in range(3):
        await setting.chat("aaaa", CacheMode.OFF, budget=budget, max_tokens=2)

    assert budget.spent == 0.0
    assert len(setting.inner.calls) == 3
