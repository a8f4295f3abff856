"""Builds groups."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from assay.core.evaluations import Evaluation
from assay.core.groups import Group, GroupMember, MemberEvaluation
from assay.core.identity import DEFAULT_ACCOUNT_ID
from tests.builders.identity import ALICE, NOW, new_id


def make_group(evaluation_ids: Sequence[str] = (), **changes: Any) -> Group:
    """A group of the default account whose members join by `question`."""
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "name": "models compared",
        "description": None,
        "tags": (),
        "metadata": None,
        "created_at": NOW,
        "created_by": ALICE,
        "members": tuple(
            GroupMember(evaluation_id, NOW, row_identifier="question") for evaluation_id in evaluation_ids
        ),
    }
    return Group(**{**defaults, **changes})


def as_member(evaluation: Evaluation) -> MemberEvaluation:
    """What a group shows of an evaluation."""
    return MemberEvaluation(**{each.name: getattr(evaluation, each.name) for each in fields(MemberEvaluation)})
