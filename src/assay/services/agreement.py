"""How far people agree with each other about an evaluation's questions, and how far a judge agrees with people."""

import asyncio
import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.annotation import AnnotationKind
from assay.core.errors import InvalidInput, NotFound
from assay.core.evaluations import Evaluation
from assay.core.identity import Caller
from assay.core.questions import Question, QuestionType, answer_key
from assay.core.sheets import CONTRIBUTOR_TASK, Asked, sheets_of
from assay.ports.storage import Storage, UnitOfWork
from assay.stats.agreement import Estimate, Scale, cohens_kappa, krippendorffs_alpha, percent_agreement

MOST_PAIRS = 50
"""Pairs of contributors that are shown, those with the most items in common first."""

_SCALES: Mapping[QuestionType, Scale] = {
    QuestionType.CATEGORICAL: "nominal",
    QuestionType.RATING: "ordinal",
    QuestionType.NUMBER: "interval",
    QuestionType.TIMESTAMP: "interval",
}


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two contributors on the items that both answered."""

    first: str
    second: str
    items: int
    percent: Estimate | None
    kappa: Estimate | None


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """Contributors among themselves, on one question, by what each said before any audit.

    `scale` is None for answers that cannot be compared (texts, forms, lists of times), and then there are no figures.
    Of the evaluation's items `missing` have fewer than two answers. `pairs` are at most MOST_PAIRS of `pairs_total`.
    """

    alias: str
    question: Question
    scale: Scale | None
    contributors: tuple[str, ...]
    items: int
    missing: int
    answers: int
    percent: Estimate | None
    alpha: Estimate | None
    pairs: tuple[PairAgreement, ...]
    pairs_total: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two columns of results, such as a judge's and people's, on the items that have both. Of the evaluation's items
    `missing_first` and `missing_second` have no value of the one or the other."""

    first: str
    second: str
    scale: Scale | None
    items: int
    missing_first: int
    missing_second: int
    percent: Estimate | None
    kappa: Estimate | None
    alpha: Estimate | None


@dataclass(frozen=True, slots=True)
class EvaluationAgreement:
    """Everything about agreement in an evaluation."""

    evaluation: Evaluation
    questions: tuple[QuestionAgreement, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """The answers to one question: by item the contributors' answers, by contributor."""

    asked: Asked
    by_item: Mapping[int, Mapping[str, Any]]


class Agreement:
    """The use case of reading how far answers agree."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def get(
        self,
        caller: Caller,
        evaluation_id: str,
        compare: tuple[str, str] | None = None,
        *,
        include_archived: bool = False,
    ) -> EvaluationAgreement:
        """Agreement between contributors on each question, and between other tasks' results and people's.

        Compared are the two aliases of `compare`, or every task that answers the same question with each contributor
        task that asks it. Raises NotFound, and InvalidInput for an alias that is no task's.
        """
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(caller.account_id, evaluation_id, include_archived=include_archived)
            if evaluation is None:
                raise NotFound("evaluation", evaluation_id)
            asked = _asked(evaluation)
            said = await _answers(unit, evaluation, asked)
            wanted = _same_question(evaluation) if compare is None else [_checked(evaluation, compare)]
            columns = {
                alias: await unit.results.values(evaluation.seq, alias)
                for alias in dict.fromkeys(itertools.chain.from_iterable(wanted))
            }
        items = evaluation.progress.total
        scales = {alias: _scale(each.question) for alias, each in asked.items()}
        questions, comparisons = await asyncio.to_thread(
            lambda: (
                tuple(_question_agreement(each, items) for each in said),
                tuple(_comparison(pair, columns, scales, items) for pair in wanted),
            )
        )
        return EvaluationAgreement(evaluation, questions, comparisons)


def _asked(evaluation: Evaluation) -> dict[str, Asked]:
    sheets = sheets_of(evaluation.tasks, evaluation.column_names)
    found = {each.alias: each for sheet in sheets.values() for each in sheet.asked}
    return {task.alias: found[task.alias] for task in evaluation.tasks if task.alias in found}


async def _answers(unit: UnitOfWork, evaluation: Evaluation, asked: Mapping[str, Asked]) -> list[_Said]:
    by_alias: dict[str, dict[int, dict[str, Any]]] = {alias: {} for alias in asked}
    kinds = [AnnotationKind.CONTRIBUTOR_ANNOTATION]
    if asked:
        async for batch in unit.annotation_tasks.stream(evaluation.seq, kinds=kinds):
            for task in batch:
                for alias, answer in (task.answers or {}).items():
                    if alias in by_alias and task.assigned_to is not None:
                        by_alias[alias].setdefault(task.item_seq, {})[task.assigned_to] = answer
    return [_Said(asked[alias], found) for alias, found in by_alias.items()]


def _same_question(evaluation: Evaluation) -> list[tuple[str, str]]:
    """(other task, contributor task) for each two that have the same question."""
    people = [task for task in evaluation.tasks if task.task_type == CONTRIBUTOR_TASK]
    others = [task for task in evaluation.tasks if task.task_type != CONTRIBUTOR_TASK]
    return [
        (other.alias, person.alias)
        for other in others
        for person in people
        if other.configuration.get("question_id") == person.configuration["question_id"]
    ]


def _checked(evaluation: Evaluation, compare: tuple[str, str]) -> tuple[str, str]:
    known = [task.alias for task in evaluation.tasks]
    for alias in compare:
        if alias not in known:
            message = f"{alias[:100]!r} is no task of this evaluation; there are: {', '.join(known) or 'none'}"
            raise InvalidInput.at(("query", "compare"), message, type="unknown_alias")
    return compare


def _scale(question: Question) -> Scale | None:
    """On what scale answers are compared; those of a question that takes several choices, as sets."""
    if question.takes_many and question.type is not QuestionType.CATEGORICAL:
        return None
    return _SCALES.get(question.type)


def _comparable(value: Any, scale: Scale | None) -> Hashable:
    """A value such that two are equal exactly when they agree; a number where the scale wants one, else None."""
    if scale != "nominal" and scale is not None:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return tuple(sorted(map(answer_key, value))) if isinstance(value, list) else answer_key(value)


def _question_agreement(said: _Said, items: int) -> QuestionAgreement:
    scale = _scale(said.asked.question)
    names = sorted({name for answers in said.by_item.values() for name in answers})
    units: list[dict[str, Hashable]] = []
    if scale is not None:
        units = [
            {name: _comparable(answer, scale) for name, answer in answers.items()}
            for answers in said.by_item.values()
            if len(answers) >= 2
        ]
    shared = sum(len(answers) >= 2 for answers in said.by_item.values())
    values = [list(unit.values()) for unit in units]
    pairs = _pairs(units)
    return QuestionAgreement(
        alias=said.asked.alias,
        question=said.asked.question,
        scale=scale,
        contributors=tuple(names),
        items=shared,
        missing=items - shared,
        answers=sum(len(answers) for answers in said.by_item.values()),
        percent=percent_agreement(values),
        alpha=None if scale is None else krippendorffs_alpha(values, scale),
        pairs=tuple(_pair_agreement(names, both) for names, both in pairs[:MOST_PAIRS]),
        pairs_total=len(pairs),
    )


def _pairs(units: Sequence[Mapping[str, Hashable]]) -> list[tuple[tuple[str, str], list[tuple[Hashable, Hashable]]]]:
    """What each two contributors said about the items that both answered, those with the most first."""
    found: dict[tuple[str, str], list[tuple[Hashable, Hashable]]] = {}
    for unit in units:
        for first, second in itertools.combinations(sorted(unit), 2):
            found.setdefault((first, second), []).append((unit[first], unit[second]))
    return sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))


def _pair_agreement(names: tuple[str, str], both: Sequence[tuple[Hashable, Hashable]]) -> PairAgreement:
    return PairAgreement(*names, len(both), percent_agreement(both), cohens_kappa(both))


def _comparison(
    pair: tuple[str, str], columns: Mapping[str, Mapping[int, Any]], scales: Mapping[str, Scale | None], items: int
) -> Comparison:
    first, second = pair
    ours, theirs = columns[first], columns[second]
    # Results of tasks that ask no question are compared as they are.
    scale: Scale | None = scales.get(second, scales.get(first, "nominal"))
    both = [
        (_comparable(value, scale), _comparable(theirs[seq], scale)) for seq, value in ours.items() if seq in theirs
    ]
    if any(value is None for values in both for value in values):
        scale = "nominal"  # one of the two is no number, so that only equality can be asked for
        both = [
            (_comparable(value, scale), _comparable(theirs[seq], scale)) for seq, value in ours.items() if seq in theirs
        ]
    if scale is None:
        return Comparison(first, second, None, len(both), items - len(ours), items - len(theirs), None, None, None)
    return Comparison(
        first,
        second,
        scale,
        len(both),
        items - len(ours),
        items - len(theirs),
        percent_agreement(both),
        cohens_kappa(both),
        krippendorffs_alpha(both, scale),
    )
