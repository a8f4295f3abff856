"""The labelling of evaluations in numbers, as version 4 shows it."""

from typing import Any

from assay.services.labelling_metrics import Agreement, ContributorFigures, EvaluationFigures


def render_evaluation_metrics(found: EvaluationFigures) -> dict[str, Any]:
    """An evaluation's labelling."""
    figures = found.figures
    unaudited = figures.labelled - figures.approved - figures.fixed
    first, last = figures.first_completed_at, figures.last_completed_at
    days = (last.date() - first.date()).days + 1 if first is not None and last is not None else 0
    return {
        "evaluation_id": found.evaluation_id,
        "num_total_test_cases": figures.total,
        "num_test_cases_labeled": figures.labelled,
        "num_test_cases_flagged": figures.flagged,
        "num_test_cases_approved": figures.approved,
        "num_test_cases_fixed": figures.fixed,
        "num_test_cases_unaudited": unaudited,
        "percentage_test_cases_approved": _percentage(figures.approved, figures.labelled),
        "percentage_test_cases_fixed": _percentage(figures.fixed, figures.labelled),
        "percentage_test_cases_unaudited": _percentage(unaudited, figures.labelled),
        "avg_labeling_time_per_test_case": figures.seconds / figures.timed if figures.timed else 0.0,
        "avg_num_test_cases_labeled_per_day": figures.labelled / days if days else 0.0,
    }


def render_contributor_metrics(evaluation_id: str, found: ContributorFigures) -> dict[str, Any]:
    """What one contributor has labelled."""
    figures = found.figures
    return {
        "evaluation_id": evaluation_id,
        "annotated_by_user_id": found.identity_id,
        "total_num_test_cases_labeled": figures.labelled,
        "num_test_cases_fixed": figures.fixed,
        "percentage_test_cases_fixed": _percentage(figures.fixed, figures.labelled),
        "total_time_spent_labeling_sec": figures.seconds if figures.timed else None,
        "avg_time_spent_labeling_sec": figures.seconds / figures.timed if figures.timed else None,
    }


def render_agreement(found: Agreement) -> dict[str, Any]:
    """People beside the judge, for one question."""
    question = found.question
    choices = None
    if question.choices is not None:
        choices = [
            {"label": each.label, "value": each.value, "audit_required": each.audit_required}
            for each in question.choices
        ]
    return {
        "question_title": question.title,
        "evaluation_question": question.prompt,
        "question_type": question.type.value,
        "is_conditional_question": bool(question.conditions),
        "choices": choices,
        "num_correct": found.correct,
        "num_wrong": found.wrong,
        "num_inconclusive": found.inconclusive,
        "num_free_text": found.not_compared,
        "agreement_rate": found.rate,
        "total_time": float(found.seconds),
        "total_tokens": float(found.tokens),
    }


def _percentage(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
