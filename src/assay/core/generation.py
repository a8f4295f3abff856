"""Test cases that a model makes: the jobs that ask for them, and the drafts that people approve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.identity import Identity

MOST_CASES = 1000
DEFAULT_CASES = 10


class GenerationStatus(StrEnum):
    """How far a job is. None ever waits: it runs from the moment it is made."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What is asked of a model: so many test cases, spread over the harms where there are any, within the
    instructions. `dimensions` name what is to vary, with its values."""

    count: int
    harms: tuple[str, ...] = ()
    dimensions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    instructions: str | None = None

    @property
    def topics(self) -> dict[str | None, int]:
        """How many test cases there are to be of each harm, as evenly as it goes, the first ones more. Without
        harms there is one topic, None. Topics of which there are none to be are left out."""
        if not self.harms:
            return {None: self.count}
        each, more = divmod(self.count, len(self.harms))
        shares = {harm: each + (index < more) for index, harm in enumerate(self.harms)}
        return {harm: share for harm, share in shares.items() if share}


@dataclass(frozen=True, slots=True)
class GenerationJob:
    """A job that makes drafts for a dataset. `completed` counts the drafts that it has made."""

    id: str
    seq: int
    account_id: str
    dataset_id: str
    model: str
    request: GenerationRequest
    status: GenerationStatus
    created_at: datetime
    created_by: Identity
    updated_at: datetime
    completed: int = 0
    failure_reason: str | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DraftTestCase:
    """A test case that is not one yet: once approved, a copy of it stands in the dataset's working set.

    `data` is a GENERATION test case's; `topic` is what it is about; `content` says what it was made from.
    """

    id: str
    seq: int
    account_id: str
    dataset_id: str
    data: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    updated_at: datetime
    content: Mapping[str, Any] = field(default_factory=dict)
    topic: str | None = None
    job_id: str | None = None
    test_case_id: str | None = None
    archived_at: datetime | None = None

    @property
    def approved(self) -> bool:
        """Whether it was approved: it names the test case that it became."""
        return self.test_case_id is not None
