"""Generation jobs, and the drafts that they make."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, select

from assay.adapters.storage.catalogue import SqlCatalogue, creation
from assay.adapters.storage.record_tables import draft_test_cases, generation_jobs
from assay.core.generation import DraftTestCase, GenerationJob, GenerationRequest, GenerationStatus

_jobs, _drafts = generation_jobs.c, draft_test_cases.c


class SqlGenerationJobs(SqlCatalogue[GenerationJob]):
    """The catalogue of generation jobs; a job's parent is its dataset."""

    table = generation_jobs
    parent = _jobs.dataset_id

    def _columns(self, entity: GenerationJob) -> dict[str, Any]:
        request = entity.request
        return {
            "dataset_id": entity.dataset_id,
            "model": entity.model,
            "request": {
                "count": request.count,
                "harms": list(request.harms),
                "dimensions": {name: list(values) for name, values in request.dimensions.items()},
                "instructions": request.instructions,
            },
            "status": entity.status.value,
            "updated_at": entity.updated_at,
            "completed": entity.completed,
            "failure_reason": entity.failure_reason,
        }

    def _entity(self, row: Row[Any]) -> GenerationJob:
        stored = row.request
        return GenerationJob(
            **creation(row),
            dataset_id=row.dataset_id,
            model=row.model,
            request=GenerationRequest(
                stored["count"], tuple(stored["harms"]), stored["dimensions"], stored["instructions"]
            ),
            status=GenerationStatus(row.status),
            updated_at=row.updated_at,
            completed=row.completed,
            failure_reason=row.failure_reason,
        )

    async def running(self) -> Sequence[GenerationJob]:
        """The jobs of all accounts that run, oldest first."""
        statement = select(generation_jobs).where(_jobs.status == GenerationStatus.RUNNING.value).order_by(_jobs.seq)
        return await self._entities(await self._session.rows(statement))


class SqlDrafts(SqlCatalogue[DraftTestCase]):
    """The catalogue of drafts; a draft's parent is its dataset."""

    table = draft_test_cases
    parent = _drafts.dataset_id

    def _ordered(self, matches: Select[Any]) -> Select[Any]:
        return matches.order_by(_drafts.seq)

    def _columns(self, entity: DraftTestCase) -> dict[str, Any]:
        return {
            "dataset_id": entity.dataset_id,
            "job_id": entity.job_id,
            "data": entity.data,
            "content": entity.content,
            "topic": entity.topic,
            "updated_at": entity.updated_at,
            "test_case_id": entity.test_case_id,
        }

    def _entity(self, row: Row[Any]) -> DraftTestCase:
        return DraftTestCase(
            **creation(row),
            dataset_id=row.dataset_id,
            job_id=row.job_id,
            data=row.data,
            content=row.content,
            topic=row.topic,
            updated_at=row.updated_at,
            test_case_id=row.test_case_id,
        )

    async def of_job(self, job: GenerationJob) -> Sequence[DraftTestCase]:
        """What a job has made, deleted ones too, in order."""
        statement = self._within([job.account_id]).where(_drafts.job_id == job.id).order_by(_drafts.seq)
        return await self._entities(await self._session.rows(statement))

    async def unapproved(self, dataset_id: str) -> Sequence[str]:
        """The ids of a dataset's drafts that are neither approved nor deleted, in order."""
        statement = self._shown().where(_drafts.dataset_id == dataset_id, _drafts.test_case_id.is_(None))
        rows = await self._session.rows(statement.with_only_columns(_drafts.id).order_by(_drafts.seq))
        return [row[0] for row in rows]
