"""How far people agree with each other, and a judge with people: an addition of Assay's."""

from typing import Annotated, Any

from fastapi import Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.queries import RawList, split_list
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas.agreement import Agreement
from assay.core.errors import InvalidInput
from assay.services.agreement import Comparison, PairAgreement, QuestionAgreement
from assay.stats.agreement import Estimate

router = version_router("/v5", "Evaluations")


@router.get("/evaluations/{evaluation_id}/agreement", response_model=Agreement)
async def retrieve_agreement(
    caller: FromCaller,
    services: FromServices,
    evaluation_id: str,
    compare: RawList = None,
    include_archived: Annotated[bool, Query(description="Whether archived ones count as there.")] = False,
) -> Response:
    """Percent agreement, Cohen's kappa and Krippendorff's alpha, each with a 95 % bootstrap interval over items.

    Between the contributors on each question, and between people and whatever else answers the same question.
    `compare` names two aliases to compare instead, joined by a comma."""
    found = await services.agreement.get(caller, evaluation_id, _two(compare), include_archived=include_archived)
    return json_response(
        {
            "object": "evaluation_agreement",
            "evaluation_id": evaluation_id,
            "items": found.evaluation.progress.total,
            "questions": [_question(each) for each in found.questions],
            "comparisons": [_comparison(each) for each in found.comparisons],
        }
    )


def _two(compare: list[str] | None) -> tuple[str, str] | None:
    if not compare:
        return None
    # An alias may hold commas: two parameters name two aliases exactly.
    names = tuple(compare) if len(compare) == 2 else split_list(compare)
    if len(names) != 2 or names[0] == names[1]:
        message = "name two different aliases, as in compare=judge,people"
        raise InvalidInput.at(("query", "compare"), message, type="two_aliases")
    return names[0], names[1]


def _question(found: QuestionAgreement) -> dict[str, Any]:
    return {
        "alias": found.alias,
        "question_id": found.question.id,
        "question_type": found.question.type.value,
        "scale": found.scale,
        "contributors": found.contributors,
        "items": found.items,
        "missing": found.missing,
        "answers": found.answers,
        "percent_agreement": _figure(found.percent),
        "krippendorffs_alpha": _figure(found.alpha),
        "pairs": [_pair(pair) for pair in found.pairs],
        "pairs_total": found.pairs_total,
    }


def _pair(found: PairAgreement) -> dict[str, Any]:
    return {
        "contributors": [found.first, found.second],
        "items": found.items,
        "percent_agreement": _figure(found.percent),
        "cohens_kappa": _figure(found.kappa),
    }


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "aliases": [found.first, found.second],
        "scale": found.scale,
        "items": found.items,
        "missing": [found.missing_first, found.missing_second],
        "percent_agreement": _figure(found.percent),
        "cohens_kappa": _figure(found.kappa),
        "krippendorffs_alpha": _figure(found.alpha),
    }


def _figure(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    interval = found.interval
    shown = interval and {
        "low": interval.low,
        "high": interval.high,
        "level": interval.level,
        "method": interval.method,
    }
    return {"value": found.value, "interval": shown, "items": found.items, "answers": found.answers}
