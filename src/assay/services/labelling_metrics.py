"""How the labelling of an evaluation's results goes on, by contributor too, and how far people and judge agree."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.core.evaluation_configs import EvaluationType
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.core.questions import Question, QuestionType
from assay.core.results import Result, ResultStatus
from assay.core.test_case_results import LabellingFigures, Labels
from assay.ports.storage import Storage
from assay.services.application_evaluations import found_evaluation
from assay.services.application_tasks import JUDGE_PREFIX
from assay.services.evaluation_configs import expanded_config
from assay.services.labelling import wire_answer

CLOSE = 1e-9
_NOT_COMPARED = (QuestionType.FREE_TEXT, QuestionType.FORM)


@dataclass(frozen=True, slots=True)
class ContributorFigures:
    """What one contributor has labelled."""

    identity_id: str
    figures: LabellingFigures


@dataclass(slots=True)
class Agreement:
    """How far people's answers to one question are those of the judge. `seconds` and `tokens` are the judge's."""

    question: Question
    correct: int = 0
    wrong: int = 0
    inconclusive: int = 0
    not_compared: int = 0
    seconds: int = 0
    tokens: int = 0

    @property
    def rate(self) -> float:
        """The share of equal answers among those that could be compared; 0 without any."""
        compared = self.correct + self.wrong
        return self.correct / compared if compared else 0.0

    def count(self, said: Any, judged: Result | None) -> None:
        """Count one result: what people said (None: nothing) beside what the judge left."""
        if judged is not None and judged.usage is not None:
            self.seconds += round(judged.usage.latency)
            self.tokens += (judged.usage.prompt_tokens or 0) + (judged.usage.completion_tokens or 0)
        answered = judged is not None and judged.status is ResultStatus.COMPLETED
        if said is None or judged is None or not answered:
            failed = judged is not None and judged.status is ResultStatus.ERRORED
            self.inconclusive += said is not None or answered or failed
        elif self.question.type in _NOT_COMPARED:
            self.not_compared += 1
        elif same_answer(said, wire_answer(judged.value)):
            self.correct += 1
        else:
            self.wrong += 1


@dataclass(frozen=True, slots=True)
class EvaluationFigures:
    """The labelling of an evaluation's results in numbers."""

    evaluation_id: str
    figures: LabellingFigures = field(default_factory=LabellingFigures)


class LabellingMetrics:
    """The use cases of reading how labelling goes on."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def evaluation(self, caller: Caller, evaluation_id: str) -> EvaluationFigures:
        """All results of an evaluation. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            if found.setup is None:
                return EvaluationFigures(evaluation_id, LabellingFigures(total=found.evaluation.progress.total))
            return EvaluationFigures(evaluation_id, await work.test_case_results.labelling(found.evaluation))

    async def contributors(self, caller: Caller, evaluation_id: str, page: NumberedPage) -> Slice[ContributorFigures]:
        """A page of those who labelled results, by id. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            who = await work.test_case_results.contributors(found.evaluation, page)
            figures = [
                ContributorFigures(each, await work.test_case_results.labelling(found.evaluation, each))
                for each in who.items
            ]
        return Slice(figures, who.total)

    async def contributor(self, caller: Caller, evaluation_id: str, identity_id: str) -> ContributorFigures | None:
        """One who labelled results; None for somebody who did not. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            figures = await work.test_case_results.labelling(found.evaluation, identity_id)
        return ContributorFigures(identity_id, figures) if figures.labelled else None

    async def agreement(self, caller: Caller, evaluation_id: str) -> Sequence[Agreement]:
        """People beside the judge, by question; none unless both answer. Raises NotFound."""
        async with self._storage.read() as work:
            found = await found_evaluation(work, caller, evaluation_id)
            config_id = found.setup.configuration_id if found.setup else None
            config = await expanded_config(work, found.evaluation.account_id, config_id)
            if config is None or config.config.evaluation_type is not EvaluationType.LLM_BENCHMARK:
                return ()
            by_question = {question.id: Agreement(question) for question in config.questions}
            async for batch in work.test_case_results.stream(found.evaluation):
                for result, item in batch:
                    said = peoples_answers(result.labels)
                    for question_id, agreement in by_question.items():
                        agreement.count(said.get(question_id), item.results.get(JUDGE_PREFIX + question_id))
        return list(by_question.values())


def peoples_answers(labels: Labels) -> Mapping[str, Any]:
    """What people answered, if they did."""
    return (labels.answers or {}) if labels.annotated_by is not None else {}


def same_answer(one: Any, other: Any) -> bool:
    """Whether two answers are equal: numbers within a billionth, several answers in any order."""
    if isinstance(one, list) or isinstance(other, list):
        left, right = (sorted(map(_key, each if isinstance(each, list) else [each])) for each in (one, other))
        return left == right
    numbers = [each for each in (one, other) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) == 2:
        return math.isclose(numbers[0], numbers[1], rel_tol=0.0, abs_tol=CLOSE)
    return _key(one) == _key(other)


def _key(value: Any) -> str:
    return json.dumps(float(value) if type(value) is int else value, sort_keys=True)
