"""What several people's answers to one question come to: one value, or an honest disagreement."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from assay.core.questions import Question, QuestionType, answer_key


class Disagreement(Exception):
    """The answers do not come to one value; the message says how they fell."""


def rule_of(question: Question) -> str:
    """The word for how answers to the question become one value: majority, median or all."""
    if question.type is QuestionType.CATEGORICAL:
        return "majority"
    if question.type in (QuestionType.FREE_TEXT, QuestionType.FORM) or question.takes_many:
        return "all"
    return "median"


def consensus(question: Question, answers: Sequence[Any]) -> Any:
    """The value of one or more good answers; of a single one, itself.

    Categorical: the choice that more people gave than any other; of a question that takes several, each choice that
    more than half gave. Ratings, numbers and single times: the median, which of an even number of answers lies between
    the two in the middle. Texts, forms and lists of times: the list of all answers. Raises Disagreement for a tie.
    """
    if len(answers) == 1:
        return answers[0]
    rule = rule_of(question)
    if rule == "all":
        return list(answers)
    if rule == "median":
        middle = median(answers)
        return int(middle) if middle == int(middle) else middle
    return _chosen_by_half(answers) if question.takes_many else _most_chosen(answers)


def _most_chosen(answers: Sequence[Any]) -> Any:
    votes = Counter(map(answer_key, answers))
    values = {answer_key(answer): answer for answer in answers}
    ranked = votes.most_common()
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        raise Disagreement(_shares(votes, len(answers)))
    return values[ranked[0][0]]


def _chosen_by_half(answers: Sequence[Sequence[Any]]) -> list[Any]:
    votes = Counter(answer_key(choice) for answer in answers for choice in answer)
    values = {answer_key(choice): choice for answer in answers for choice in answer}
    if any(2 * count == len(answers) for count in votes.values()):
        raise Disagreement(_shares(votes, len(answers)))
    return [values[key] for key, count in votes.items() if 2 * count > len(answers)]


def _shares(votes: Counter[str], answers: int) -> str:
    said = ", ".join(f"{count} of {answers} say {key[:100]}" for key, count in votes.most_common(10))
    return f"the answers are tied: {said}"
