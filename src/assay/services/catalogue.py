"""What is the same for everything that is kept in a catalogue: finding it, archiving it, restoring it."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from assay.core.applications import ApplicationSpec, ApplicationVariant
from assay.core.errors import NotFound, RuleViolation
from assay.core.evaluation_configs import EvaluationConfig
from assay.core.identity import Caller
from assay.core.questions import Question, QuestionSet
from assay.ports.catalogue import Catalogue

Kept = TypeVar("Kept", ApplicationSpec, ApplicationVariant, Question, QuestionSet, EvaluationConfig)

KINDS = {
    ApplicationSpec: "application spec",
    ApplicationVariant: "application variant",
    Question: "question",
    QuestionSet: "question set",
    EvaluationConfig: "evaluation config",
}


async def find(catalogue: Catalogue[Kept], kind: type[Kept], caller: Caller, entity_id: str) -> Kept:
    """The thing in any of the caller's accounts, archived or not. Raises NotFound."""
    found = await catalogue.get(caller.accounts, entity_id)
    if found is None:
        raise NotFound(KINDS[kind], entity_id)
    return found


async def find_to_use(catalogue: Catalogue[Kept], kind: type[Kept], account_id: str, entity_id: str) -> Kept:
    """The thing in an account, for something new to refer to. Raises NotFound, and RuleViolation when it is
    archived."""
    found = await catalogue.get((account_id,), entity_id)
    if found is None:
        raise NotFound(KINDS[kind], entity_id)
    return unarchived(found)


def unarchived(found: Kept) -> Kept:
    """The thing itself. Raises RuleViolation when it is archived: it must be restored first."""
    if found.archived_at is not None:
        raise RuleViolation(f"{KINDS[type(found)]} {found.id} is archived; restore it first")
    return found


async def archive(catalogue: Catalogue[Kept], kind: type[Kept], caller: Caller, entity_id: str, at: datetime) -> bool:
    """Hide the thing from lists; whether it was not hidden yet. Raises NotFound."""
    found = await find(catalogue, kind, caller, entity_id)
    if found.archived_at is not None:
        return False
    await catalogue.save(replace(found, archived_at=at))
    return True


async def restore(catalogue: Catalogue[Kept], kind: type[Kept], caller: Caller, entity_id: str) -> Kept:
    """Show the thing in lists again; nothing to do when it is shown. Raises NotFound."""
    found = await find(catalogue, kind, caller, entity_id)
    if found.archived_at is not None:
        found = replace(found, archived_at=None)
        await catalogue.save(found)
    return found
