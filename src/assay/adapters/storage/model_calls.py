"""What models were asked: answers that are kept, sums over calls, and how evaluations may call."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select, text

from assay.adapters.storage.codec import dump_json, to_micros
from assay.adapters.storage.model_call_tables import call_policies, model_answers, model_call_sums
from assay.adapters.storage.session import Session, in_lists
from assay.core.model_calls import CacheMode, CallPolicy, CallSums, KeptAnswer

_KEEP = text(
    "INSERT INTO model_answers (account_id, call_key, body, prompt_tokens, completion_tokens, created_at)"
    " VALUES (:account_id, :call_key, :body, :prompt_tokens, :completion_tokens, :created_at) ON CONFLICT DO NOTHING"
)
_SUMMED = ("calls", "prompt_characters", "prompt_tokens", "completion_tokens", "squares")
_ADD = text(
    f"INSERT INTO model_call_sums (account_id, model, {', '.join(_SUMMED)})"  # noqa: S608
    f" VALUES (:account_id, :model, {', '.join(f':{name}' for name in _SUMMED)})"
    " ON CONFLICT (account_id, model) DO UPDATE SET "
    + ", ".join(f"{name} = model_call_sums.{name} + excluded.{name}" for name in _SUMMED)
)
_SET = text(
    "INSERT INTO call_policies (evaluation_seq, cache, max_cost) VALUES (:evaluation_seq, :cache, :max_cost)"
    " ON CONFLICT (evaluation_seq) DO UPDATE SET cache = excluded.cache, max_cost = excluded.max_cost"
)
_SPENT = text("SELECT SUM(cost) FROM results WHERE evaluation_seq = :evaluation_seq")


class SqlModelCalls:
    """Implements `ports.model_calls.ModelCallRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def answers(self, account_id: str, keys: Sequence[str]) -> Mapping[str, KeptAnswer]:
        """The kept answers of the calls with these keys."""
        kept = model_answers.c
        found = {}
        for some in in_lists(keys):
            statement = select(kept.call_key, kept.body, kept.prompt_tokens, kept.completion_tokens).where(
                kept.account_id == account_id, kept.call_key.in_(some)
            )
            for key, body, asked, told in await self._session.rows(statement):
                found[key] = KeptAnswer(body, asked, told)
        return found

    async def kept(self, account_id: str, keys: Sequence[str]) -> frozenset[str]:
        """Those of the keys whose answers are kept."""
        kept = model_answers.c
        found: set[str] = set()
        for some in in_lists(keys):
            statement = select(kept.call_key).where(kept.account_id == account_id, kept.call_key.in_(some))
            found.update(key for (key,) in await self._session.rows(statement))
        return frozenset(found)

    async def keep(self, answers: Mapping[tuple[str, str], KeptAnswer], at: datetime) -> None:
        """Keep answers by account and key; the first one of a call stays. In the order of their keys, so that two
        writers never wait for each other."""
        rows = [
            {
                "account_id": account_id,
                "call_key": key,
                "body": dump_json(answer.body),
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "created_at": to_micros(at),
            }
            for (account_id, key), answer in sorted(answers.items(), key=lambda each: each[0])
        ]
        if rows:
            await self._session.run(_KEEP, rows)

    async def forget(self, account_id: str | None, *, before: datetime | None = None) -> int:
        """Forget kept answers; how many they were."""
        statement = delete(model_answers)
        if account_id is not None:
            statement = statement.where(model_answers.c.account_id == account_id)
        if before is not None:
            statement = statement.where(model_answers.c.created_at < before)
        return (await self._session.run(statement)).rowcount

    async def add_sums(self, sums: Mapping[tuple[str, str], CallSums]) -> None:
        """Add to the sums by account and model."""
        rows = [
            {"account_id": account_id, "model": model, **{name: getattr(each, name) for name in _SUMMED}}
            for (account_id, model), each in sorted(sums.items(), key=lambda each: each[0])
        ]
        if rows:
            await self._session.run(_ADD, rows)

    async def sums(self, account_id: str, models: Sequence[str]) -> Mapping[str, CallSums]:
        """The account's sums of the models that it has called."""
        if not models:
            return {}
        summed = model_call_sums.c
        statement = select(summed.model, *(summed[name] for name in _SUMMED)).where(
            summed.account_id == account_id, summed.model.in_(models)
        )
        return {model: CallSums(*map(int, sums)) for model, *sums in await self._session.rows(statement)}

    async def set_policy(self, evaluation_seq: int, policy: CallPolicy) -> None:
        """Write how an evaluation may call models."""
        values = {"evaluation_seq": evaluation_seq, "cache": policy.cache.value, "max_cost": policy.max_cost}
        await self._session.run(_SET, values)

    async def policy(self, evaluation_seq: int) -> CallPolicy:
        """How an evaluation may call models; the default one when nothing was said."""
        where = call_policies.c.evaluation_seq == evaluation_seq
        found = await self._session.row(select(call_policies.c.cache, call_policies.c.max_cost).where(where))
        return CallPolicy() if found is None else CallPolicy(CacheMode(found.cache), found.max_cost)

    async def spent(self, evaluation_seq: int) -> float:
        """What the evaluation's stored results cost, in US dollars."""
        ((cost,),) = await self._session.rows(_SPENT, {"evaluation_seq": evaluation_seq})
        return float(cost or 0.0)
