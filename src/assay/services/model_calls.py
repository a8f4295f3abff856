"""Calls of models on behalf of an account: answered from what is kept where that is allowed, counted, priced, and
held within an evaluation's budget."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from assay.core.errors import AssayError, InvalidInput, Problem
from assay.core.model_calls import CacheMode, CallPolicy, CallSums, KeptAnswer, ModelCall, Price
from assay.core.results import Usage
from assay.core.tasks import TaskSpec
from assay.ports.clock import Clock
from assay.ports.models import AnswerShape, ModelReply, Models
from assay.ports.storage import Storage
from assay.registry.task_types import TaskType

log = structlog.get_logger()

Send = Callable[[], Awaitable[ModelReply]]
"""Makes one call."""

GATHER_SECONDS = 0.002
"""How long a question whether an answer is kept waits for others to be asked with it."""

UNKNOWN_COMPLETION = 256
"""Completion tokens that a call is taken to need when nothing tells more: no limit, and no call before it."""

CHARACTERS_A_TOKEN = 4.0
"""Characters of a prompt that make a token, where no past call of the model tells better: usual for English."""

FORGOTTEN_EVERY = timedelta(hours=1)
"""How often answers that are too old are looked for, while there are new ones."""

CAUTIOUS_CHARACTERS_A_TOKEN = 3.0
CAUTIOUS_TOKENS_MORE = 10
"""What a budget reckons prompts by before it has learned: more than they usually come to, with what vendors add."""

LEARNED = 20
"""Calls after which what they needed tells more than what a request allows."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """What the settings say of vendors: prices by vendor and model (`*`: any other of the vendor), and where each
    vendor's calls go, so that another endpoint of the same name is not the same."""

    prices: Mapping[str, Mapping[str, Price]] = field(default_factory=dict)
    endpoints: Mapping[str, str] = field(default_factory=dict)

    def price(self, model: str) -> Price | None:
        """The price of `vendor/model`'s tokens; None when none is set."""
        vendor, _, name = model.partition("/")
        of_vendor = self.prices.get(vendor)
        return None if of_vendor is None else of_vendor.get(name) or of_vendor.get("*")

    def endpoint(self, model: str) -> str:
        """Where calls of `vendor/model` go."""
        return self.endpoints.get(model.partition("/")[0], "")


def check_priced(specs: Sequence[TaskSpec], task_types: Mapping[str, TaskType], prices: PriceTable) -> None:
    """Raise InvalidInput for models without a price: a budget cannot be kept with them."""
    models = {
        call.model
        for spec in specs
        if (calls := getattr(task_types[spec.task_type], "calls", None)) is not None
        for call in calls(spec.configuration)
    }
    problems = [
        Problem(
            ("body", "max_cost"),
            f'no price is set for {model}: set input and output of [vendors.{vendor}.prices."{name}"] in assay.toml',
            "no_price",
        )
        for model in sorted(models)
        if prices.price(model) is None
        for vendor, _, name in [model.partition("/")]
    ]
    if problems:
        raise InvalidInput(problems)


class BudgetReached(Exception):
    """An evaluation's next call could cost more than what is left of its `max_cost`. Nothing was called."""


class Budget:
    """What is left of an evaluation's `max_cost`.

    A call holds what it is expected to cost until it is answered. One that does not fit into what is left waits
    for calls in flight, which may turn out to cost less, and is refused when it cannot fit. Belongs to one event
    loop.
    """

    def __init__(self, max_cost: float, spent: float) -> None:
        self.max_cost = max_cost
        self.spent = spent
        self.reached = False
        self._held = 0.0
        self._calls = 0
        self._learned = CallSums()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def expected(self, call: ModelCall, price: Price) -> float:
        """What the call may cost, in US dollars: by the calls so far once there are enough, else by what the
        request allows."""
        if self._learned.calls >= LEARNED:
            learned = self._learned
            prompt = call.prompt_characters * learned.prompt_tokens / max(1, learned.prompt_characters)
            return price.of(prompt, learned.completion_tokens / learned.calls)
        prompt = call.prompt_characters / CAUTIOUS_CHARACTERS_A_TOKEN + CAUTIOUS_TOKENS_MORE
        return price.of(prompt, call.most_completion_tokens or UNKNOWN_COMPLETION)

    async def hold(self, amount: float) -> None:
        """Take an amount for a call. Raises BudgetReached when it does not fit into what is left."""
        while True:
            if self.reached or self.spent + amount > self.max_cost:
                self._stop()
                raise BudgetReached
            if self.spent + self._held + amount <= self.max_cost or not self._calls:
                self._held += amount
                self._calls += 1
                return
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place

    def settle(self, amount: float, cost: float, sums: CallSums) -> None:
        """A call that held an amount ended and cost what it did."""
        self._held -= amount
        self._calls -= 1
        self.spent += cost
        self._learned += sums
        self._wake()

    def _stop(self) -> None:
        self.reached = True
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)


@dataclass(slots=True)
class _Unwritten:
    answers: dict[tuple[str, str], KeptAnswer] = field(default_factory=dict)
    sums: dict[tuple[str, str], CallSums] = field(default_factory=dict)


class CallLedger:
    """Reads and keeps answers of calls, many at a time, and counts calls. Belongs to one event loop.

    Keeping is a convenience: while the database is away answers are dropped, not waited for.
    """

    def __init__(
        self, storage: Storage, clock: Clock, *, flush_seconds: float, keep_for: timedelta = timedelta(days=30)
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._keep_for = keep_for
        self._forgotten_at: datetime | None = None
        self._asked: dict[tuple[str, str], asyncio.Future[KeptAnswer | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._open = _Unwritten()
        self._writing: asyncio.Task[None] | None = None
        self.in_flight: dict[tuple[str, str], asyncio.Future[ModelReply | None]] = {}

    async def answer(self, account_id: str, key: str) -> KeptAnswer | None:
        """What is kept under the key, if anything. A database that is away knows nothing."""
        place = (account_id, key)
        found = self._open.answers.get(place)
        if found is not None:
            return found
        asked = self._asked.get(place)
        if asked is None:
            asked = self._asked[place] = asyncio.get_running_loop().create_future()
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(), name="call-ledger-asking")
        return await asyncio.shield(asked)

    async def _ask(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        asked, self._asked, self._asking = self._asked, {}, None
        found: dict[tuple[str, str], KeptAnswer] = {}
        try:
            async with self._storage.read() as unit:
                for account_id in {account for account, _ in asked}:
                    keys = [key for account, key in asked if account == account_id]
                    kept = await unit.model_calls.answers(account_id, keys)
                    found.update({(account_id, key): answer for key, answer in kept.items()})
        except AssayError as error:
            log.warning("kept answers cannot be read", cause=type(error).__name__)
        finally:
            for place, future in asked.items():
                if not future.done():
                    future.set_result(found.get(place))

    def keep(self, account_id: str, key: str, answer: KeptAnswer) -> None:
        """Keep an answer, soon."""
        self._open.answers[account_id, key] = answer
        self._write_soon()

    def count(self, account_id: str, model: str, sums: CallSums) -> None:
        """Count a call, soon."""
        before = self._open.sums.get((account_id, model))
        self._open.sums[account_id, model] = sums if before is None else before + sums
        self._write_soon()

    def _write_soon(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_later(), name="call-ledger-writing")

    async def _write_later(self) -> None:
        await asyncio.sleep(self._flush_seconds)
        self._writing = None
        await self._write()

    async def _write(self) -> None:
        unwritten, self._open = self._open, _Unwritten()
        try:
            now = self._clock.now()
            async with self._storage.write() as unit:
                if self._forgotten_at is None or now - self._forgotten_at > FORGOTTEN_EVERY:
                    await unit.model_calls.forget(None, before=now - self._keep_for)
                    self._forgotten_at = now
                await unit.model_calls.keep(unwritten.answers, now)
                await unit.model_calls.add_sums(unwritten.sums)
        except AssayError as error:
            log.warning("answers were not kept", answers=len(unwritten.answers), cause=type(error).__name__)

    async def close(self) -> None:
        """Write what is left and stop."""
        task, self._writing = self._writing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._open.answers or self._open.sums:
            await self._write()


@dataclass(frozen=True, slots=True)
class ModelCalls:
    """What calls on behalf of accounts go through."""

    models: Models
    ledger: CallLedger
    prices: PriceTable

    def within(self, account_id: str, policy: CallPolicy, budget: Budget | None) -> "AccountModels":
        """Models for one evaluation of the account."""
        return AccountModels(self, account_id, policy, budget)


class AccountModels:
    """The `Models` port for one evaluation: the calls go on to `models` unless they are answered from the cache.

    A reply says in its usage whether it was `cached`, and its `cost` where a price is set: 0 from the cache. Equal
    calls at the same time are made once. Raises BudgetReached for a call that the budget does not allow.
    """

    def __init__(self, calls: ModelCalls, account_id: str, policy: CallPolicy, budget: Budget | None) -> None:
        self._models = calls.models
        self._ledger = calls.ledger
        self._prices = calls.prices
        self._account_id = account_id
        self._cache = policy.cache
        self._budget = budget

    def problem(self, model: str) -> str | None:
        return self._models.problem(model)

    async def chat(self, model: str, request: Mapping[str, Any]) -> ModelReply:
        return await self._answered(ModelCall(model, request), lambda: self._models.chat(model, request))

    async def ask(self, model: str, request: Mapping[str, Any], shape: AnswerShape) -> ModelReply:
        return await self._answered(shape.call(model, request), lambda: self._models.ask(model, request, shape))

    async def infer(
        self,
        model: str,
        args: Mapping[str, Any],
        *,
        num_retries: int | None = None,
        timeout_seconds: float | None = None,
    ) -> ModelReply:
        return await self._answered(
            ModelCall(model, args, "inference"),
            lambda: self._models.infer(model, args, num_retries=num_retries, timeout_seconds=timeout_seconds),
        )

    async def close(self) -> None:
        """Nothing: the connections are the inner port's."""

    async def _answered(self, call: ModelCall, send: Send) -> ModelReply:
        key = self._key(call)
        if key is None:
            return await self._called(call, send)
        kept = await self._ledger.answer(self._account_id, key)
        if kept is not None:
            return _from_cache(kept)
        place = (self._account_id, key)
        same = self._ledger.in_flight.get(place)
        if same is not None:
            reply = await asyncio.shield(same)
            return await self._called(call, send) if reply is None else _again(reply)
        mine = self._ledger.in_flight[place] = asyncio.get_running_loop().create_future()
        reply = None
        try:
            reply = await self._called(call, send)
            if self._cache is not CacheMode.READ and _is_worth_keeping(call, reply):
                answer = KeptAnswer(reply.body, reply.usage.prompt_tokens, reply.usage.completion_tokens)
                self._ledger.keep(self._account_id, key, answer)
            return reply
        finally:
            self._ledger.in_flight.pop(place, None)
            mine.set_result(reply if reply is not None and reply.error is None else None)

    def _key(self, call: ModelCall) -> str | None:
        """Under what the call's answer may be kept; None when it is neither to be read nor kept."""
        if self._cache is CacheMode.OFF or (self._cache is CacheMode.AUTO and not call.asks_for_one_answer):
            return None
        try:
            return call.key(self._prices.endpoint(call.model))
        except (TypeError, ValueError, RecursionError):
            return None

    async def _called(self, call: ModelCall, send: Send) -> ModelReply:
        price = self._prices.price(call.model)
        budget = self._budget if price is not None else None
        if price is None or budget is None:
            return self._counted(call, price, await send())
        amount = budget.expected(call, price)
        await budget.hold(amount)
        cost, sums = 0.0, CallSums()
        try:
            reply = self._counted(call, price, await send())
            # An answer that does not say its tokens is taken to have cost what was expected.
            cost = reply.usage.cost if reply.usage.cost is not None else 0.0 if reply.error else amount
            sums = _sums(call, reply.usage) or sums
            return reply if reply.error or reply.usage.cost is not None else _priced(reply, amount)
        finally:
            budget.settle(amount, cost, sums)

    def _counted(self, call: ModelCall, price: Price | None, reply: ModelReply) -> ModelReply:
        """The reply with its price, and counted, when it says its tokens."""
        usage = reply.usage
        sums = _sums(call, usage)
        if sums is None:
            return reply
        self._ledger.count(self._account_id, call.model, sums)
        return reply if price is None else _priced(reply, price.of(sums.prompt_tokens, sums.completion_tokens))


def _sums(call: ModelCall, usage: Usage) -> CallSums | None:
    """The call as sums; None when the endpoint did not say its tokens."""
    asked, told = usage.prompt_tokens, usage.completion_tokens
    if asked is None and told is None:
        return None
    return CallSums(1, call.prompt_characters, asked or 0, told or 0, (told or 0) ** 2)


def _is_worth_keeping(call: ModelCall, reply: ModelReply) -> bool:
    """Whether the reply is an answer: a chat's has a choice. Anything else may be the endpoint's bad moment."""
    if reply.error is not None:
        return False
    return call.kind == "inference" or (isinstance(reply.body, Mapping) and bool(reply.body.get("choices")))


def _priced(reply: ModelReply, cost: float) -> ModelReply:
    return replace(reply, usage=replace(reply.usage, cost=cost))


def _from_cache(kept: KeptAnswer) -> ModelReply:
    usage = Usage(0.0, 0, kept.prompt_tokens, kept.completion_tokens, cached=True, cost=0.0)
    return ModelReply(body=kept.body, usage=usage)


def _again(reply: ModelReply) -> ModelReply:
    """What an equal call in flight was answered, for one that was not made."""
    usage = replace(reply.usage, latency=0.0, attempts=0, cached=True, cost=0.0)
    return ModelReply(body=reply.body, usage=usage)
