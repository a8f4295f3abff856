"""Where generation jobs and drafts are kept."""

from collections.abc import Sequence
from typing import Protocol

from assay.core.generation import DraftTestCase, GenerationJob
from assay.ports.catalogue import Catalogue


class GenerationJobCatalogue(Catalogue[GenerationJob], Protocol):
    """The jobs; a job's parent is its dataset. `get` in a writing transaction keeps a job as it is."""

    async def running(self) -> Sequence[GenerationJob]:
        """The jobs of all accounts that run, oldest first."""
        ...


class DraftCatalogue(Catalogue[DraftTestCase], Protocol):
    """The drafts; a draft's parent is its dataset. Lists are in the order in which drafts were made."""

    async def of_job(self, job: GenerationJob) -> Sequence[DraftTestCase]:
        """What a job has made, deleted ones too, in order."""
        ...

    async def unapproved(self, dataset_id: str) -> Sequence[str]:
        """The ids of a dataset's drafts that are neither approved nor deleted, in order."""
        ...
