"""Evaluation configs: which questions, and who answers them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uuid_utils

from assay.core.errors import InvalidInput
from assay.core.evaluation_configs import EvaluationConfig, EvaluationType
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.core.questions import QuestionSet
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.application_tasks import ExpandedConfig
from assay.services.catalogue import archive, find, find_to_use


@dataclass(frozen=True, slots=True)
class NewEvaluationConfig:
    """An evaluation config to make. Without a type it is for a judge when a model is named, else for people."""

    question_set_id: str
    evaluation_type: EvaluationType | None = None
    auto_evaluation_model: str | None = None
    auto_evaluation_parameters: Mapping[str, Any] | None = None
    studio_project_id: str | None = None


class EvaluationConfigs:
    """The use cases of evaluation configs, which never change once they are made.

    `judge_model` is written into configs that want a judge and name none.
    """

    def __init__(self, storage: Storage, clock: Clock, *, judge_model: str) -> None:
        self._storage = storage
        self._clock = clock
        self._judge_model = judge_model

    async def create(self, caller: Caller, new: NewEvaluationConfig) -> EvaluationConfig:
        """Make a config in the caller's account; raises as `add` does."""
        async with self._storage.write() as work:
            return await self.add(work, caller, new)

    async def add(
        self, work: UnitOfWork, caller: Caller, new: NewEvaluationConfig, *, loc: tuple[str, ...] = ("body",)
    ) -> EvaluationConfig:
        """Add a config inside the caller's transaction; `loc` is where it stood in the request.

        Raises InvalidInput for a judge's model where people answer or a studio type without its project,
        NotFound for a question set that is not in the account, RuleViolation for an archived one.
        """
        kind = new.evaluation_type
        if kind is None:
            kind = EvaluationType.LLM_AUTO if new.auto_evaluation_model else EvaluationType.HUMAN
        if new.auto_evaluation_model is not None and not kind.has_judge:
            message = f"a {kind.value} evaluation has no model"
            raise InvalidInput.at((*loc, "auto_evaluation_model"), message, type="conflict")
        if kind is EvaluationType.STUDIO and new.studio_project_id is None:
            raise InvalidInput.at((*loc, "studio_project_id"), "a studio evaluation needs its project", type="missing")
        question_set = await find_to_use(work.question_sets, QuestionSet, caller.account_id, new.question_set_id)
        model = (new.auto_evaluation_model or self._judge_model) if kind.has_judge else None
        return await work.evaluation_configs.add(
            EvaluationConfig(
                id=str(uuid_utils.uuid7()),
                seq=0,
                account_id=caller.account_id,
                question_set_id=question_set.id,
                evaluation_type=kind,
                created_at=self._clock.now(),
                created_by=caller.identity,
                auto_evaluation_model=model,
                auto_evaluation_parameters=new.auto_evaluation_parameters,
                studio_project_id=new.studio_project_id,
            )
        )

    async def add_hybrid(self, work: UnitOfWork, caller: Caller, config: EvaluationConfig) -> EvaluationConfig:
        """Add a copy of a config in which both people and a judge answer."""
        return await work.evaluation_configs.add(
            replace(
                config,
                id=str(uuid_utils.uuid7()),
                seq=0,
                evaluation_type=EvaluationType.LLM_BENCHMARK,
                created_at=self._clock.now(),
                created_by=caller.identity,
                auto_evaluation_model=config.auto_evaluation_model or self._judge_model,
                archived_at=None,
            )
        )

    async def get(self, caller: Caller, config_id: str) -> EvaluationConfig:
        """One config in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await find(work.evaluation_configs, EvaluationConfig, caller, config_id)

    async def list(self, account_ids: Sequence[str], page: NumberedPage) -> Slice[EvaluationConfig]:
        """A page of the accounts' configs that are not archived, newest first."""
        async with self._storage.read() as work:
            return await work.evaluation_configs.list(account_ids, page)

    async def archive(self, caller: Caller, config_id: str) -> bool:
        """Hide a config; evaluations that use it stay as they are. Whether it was not hidden yet. Raises
        NotFound."""
        async with self._storage.write() as work:
            return await archive(work.evaluation_configs, EvaluationConfig, caller, config_id, self._clock.now())


async def expanded_configs(
    work: UnitOfWork, accounts: Sequence[str], config_ids: Sequence[str]
) -> dict[str, ExpandedConfig]:
    """Evaluation configs with their question sets and questions, by id; unknown ones are absent."""
    configs = await work.evaluation_configs.get_many(accounts, config_ids)
    sets = await work.question_sets.get_many(accounts, list({each.question_set_id for each in configs.values()}))
    wanted = list({question_id for each in sets.values() for question_id in each.question_ids})
    questions = await work.questions.get_many(accounts, wanted)
    return {
        config.id: ExpandedConfig(
            config,
            sets[config.question_set_id],
            [questions[each] for each in sets[config.question_set_id].question_ids if each in questions],
        )
        for config in configs.values()
        if config.question_set_id in sets
    }


async def expanded_config(work: UnitOfWork, account_id: str, config_id: str | None) -> ExpandedConfig | None:
    """An evaluation config with its question set and questions; None when there is none."""
    if config_id is None:
        return None
    return (await expanded_configs(work, [account_id], [config_id])).get(config_id)
