"""What an evaluation would ask of models and what that would cost, said before it is made."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.core.identity import Caller
from assay.core.locators import MissingValue
from assay.core.model_calls import CacheMode, CallPolicy, CallSums, ModelCall
from assay.ports.storage import Storage
from assay.registry.task_types import TaskType
from assay.services.evaluations import Evaluations, NewEvaluation
from assay.services.model_calls import CHARACTERS_A_TOKEN, LEARNED, UNKNOWN_COMPLETION, PriceTable
from assay.services.planning import RunnableTask

SAMPLE = 2000
"""Rows that are looked at; of more, as many of them evenly spread, and the figures are scaled."""


@dataclass(frozen=True, slots=True)
class TaskEstimate:
    """What one task would ask of one model, over all items.

    `calls` are calls before the cache; `cached_calls` those of them that it would answer. Tokens and costs (US
    dollars) are of the others. `completion_tokens` are what past calls of the model lead to expect, None without
    enough of those; `..._at_most` what the requests allow, None where one sets no limit. Costs are None without a
    price or without the tokens. `characters_a_token` is what prompt tokens are reckoned by.
    """

    alias: str
    task_type: str
    model: str
    calls: int
    cached_calls: int
    prompt_tokens: int
    completion_tokens: int | None
    completion_tokens_at_most: int | None
    prompt_cost: float | None
    cost: float | None
    cost_at_most: float | None
    characters_a_token: float
    past_calls: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """An evaluation's estimate: `sampled` of its `items` were looked at. `unpriced` are models without a price."""

    items: int
    sampled: int
    tasks: tuple[TaskEstimate, ...]
    unpriced: tuple[str, ...]


@dataclass(slots=True)
class _Asked:
    """What a task asks of a model, added up over the rows that are looked at."""

    calls: int = 0
    made: int = 0
    characters: int = 0
    most: int | None = 0
    keys: list[tuple[str, int, int | None]] = field(default_factory=list)


class Estimates:
    """The use cases of reckoning before an evaluation is made, and of forgetting what was answered before."""

    def __init__(
        self, storage: Storage, evaluations: Evaluations, task_types: Mapping[str, TaskType], prices: PriceTable
    ) -> None:
        self._storage = storage
        self._evaluations = evaluations
        self._task_types = task_types
        self._prices = prices

    async def forget_answers(self, caller: Caller) -> int:
        """Forget every answer that is kept for the account; how many they were."""
        async with self._storage.write() as unit:
            return await unit.model_calls.forget(caller.account_id)

    async def estimate(self, caller: Caller, new: NewEvaluation) -> Estimate:
        """What the evaluation would ask. Raises what making it would raise; nothing is written or called."""
        draft = await self._evaluations.draft(caller, new)
        models = sorted({call.model for task in draft.tasks for call in _calls(task, task.spec.configuration)})
        step = -(-len(draft.rows) // SAMPLE) if draft.rows else 1
        rows = draft.rows[::step]
        async with self._storage.read() as unit:
            past = await unit.model_calls.sums(caller.account_id, models)
        asked = self._ask(rows, draft.tasks, new.policy, past)
        async with self._storage.read() as unit:
            keys = list({key for each in asked.values() for key, _, _ in each.keys})
            kept = await unit.model_calls.kept(caller.account_id, keys)
        known = set(kept)
        scale = len(draft.rows) / len(rows) if rows else 1.0
        types = {task.alias: task.spec.task_type for task in draft.tasks}
        tasks = tuple(
            self._reckon((alias, types[alias], model), _without_kept(each, known), past.get(model), scale)
            for (alias, model), each in asked.items()
        )
        unpriced = tuple(model for model in models if self._prices.price(model) is None)
        return Estimate(len(draft.rows), len(rows), tasks, unpriced)

    def _ask(
        self,
        rows: Sequence[Mapping[str, Any]],
        tasks: Sequence[RunnableTask],
        policy: CallPolicy,
        past: Mapping[str, CallSums],
    ) -> dict[tuple[str, str], _Asked]:
        asked = {(task.alias, call.model): _Asked() for task in tasks for call in _calls(task, task.spec.configuration)}
        for row in rows:
            values = dict(row)
            unknown: set[str] = set()
            for task in tasks:
                for call in _calls_on(task, values, unknown):
                    self._count(asked.setdefault((task.alias, call.model), _Asked()), task, call, policy)
                values.update(dict.fromkeys(task.writes, _placeholder(task, past)))
                unknown.update(task.writes)
        return asked

    def _count(self, asked: _Asked, task: RunnableTask, call: ModelCall, policy: CallPolicy) -> None:
        asked.calls += 1
        cache = policy.cache
        may_be_kept = cache is not CacheMode.OFF and (cache is not CacheMode.AUTO or call.asks_for_one_answer)
        most = call.most_completion_tokens
        if may_be_kept and not task.waits_for:  # what reads another task's result is not known yet
            asked.keys.append((call.key(self._prices.endpoint(call.model)), call.prompt_characters, most))
        else:
            _add(asked, call.prompt_characters, most)

    def _reckon(self, names: tuple[str, str, str], asked: _Asked, past: CallSums | None, scale: float) -> TaskEstimate:
        alias, task_type, model = names
        enough = past if past is not None and past.calls >= LEARNED and past.prompt_tokens else None
        a_token = enough.prompt_characters / enough.prompt_tokens if enough else CHARACTERS_A_TOKEN
        prompt = asked.characters / a_token * scale
        completion = enough.completion_tokens / enough.calls * asked.made * scale if enough else None
        most = None if asked.most is None else asked.most * scale
        price = self._prices.price(model)
        return TaskEstimate(
            alias=alias,
            task_type=task_type,
            model=model,
            calls=round(asked.calls * scale),
            cached_calls=round((asked.calls - asked.made) * scale),
            prompt_tokens=round(prompt),
            completion_tokens=None if completion is None else round(completion),
            completion_tokens_at_most=None if most is None else round(most),
            prompt_cost=None if price is None else price.of(prompt, 0),
            cost=None if price is None or completion is None else price.of(prompt, completion),
            cost_at_most=None if price is None or most is None else price.of(prompt, most),
            characters_a_token=a_token,
            past_calls=past.calls if past else 0,
        )


def _without_kept(asked: _Asked, known: set[str]) -> _Asked:
    """With the calls counted that the cache does not answer: the first of each, unless it is kept. `known` gains
    their keys."""
    for key, characters, most in asked.keys:
        if key not in known:
            known.add(key)
            _add(asked, characters, most)
    return asked


def _add(asked: _Asked, characters: int, most: int | None) -> None:
    asked.made += 1
    asked.characters += characters
    asked.most = None if asked.most is None or most is None else asked.most + most


def _calls(task: RunnableTask, configuration: Mapping[str, Any]) -> Sequence[ModelCall]:
    calls = getattr(task.task_type, "calls", None)
    return () if calls is None else calls(configuration)


def _calls_on(task: RunnableTask, values: Mapping[str, Any], unknown: Collection[str]) -> Sequence[ModelCall]:
    """The calls for one item: none where the item lacks what the task reads, for then it is not called. Where the
    task reads into another's result, which is not known yet, the configuration is taken as it is. `unknown` are
    the columns whose values only stand in for results."""
    try:
        resolved = task.resolve(values)
        if "item" in resolved:  # values that the task looks at by itself
            resolved = {**resolved, "unknown_columns": unknown}
        return _calls(task, resolved)
    except MissingValue:
        return _calls(task, task.spec.configuration) if task.waits_for else ()


def _placeholder(task: RunnableTask, past: Mapping[str, CallSums]) -> Any:
    """What stands for a result that is not known yet: for a model's answer text as long as it is expected."""
    calls = _calls(task, task.spec.configuration)
    if not calls:
        return 0
    sums = past.get(calls[0].model)
    tokens = UNKNOWN_COMPLETION
    if sums is not None and sums.calls >= LEARNED:
        tokens = sums.completion_tokens // sums.calls
    elif calls[0].most_completion_tokens is not None:
        tokens = min(tokens, calls[0].most_completion_tokens)
    return "x" * int(tokens * CHARACTERS_A_TOKEN)
