"""Generation jobs: a model makes draft test cases, batch by batch, each stored whole; what a server leaves unfinished
the next one takes up."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
import uuid_utils

from assay.core.datasets import Dataset
from assay.core.errors import AssayError, NotConfigured, NotFound, RuleViolation
from assay.core.generation import (
    DEFAULT_CASES,
    DraftTestCase,
    GenerationJob,
    GenerationRequest,
    GenerationStatus,
)
from assay.core.identity import Caller
from assay.core.paging import NumberedPage
from assay.judging.asking import ask
from assay.judging.test_cases import AT_ONCE, MadeCase, Wanted, inquiry
from assay.ports.clock import Clock
from assay.ports.models import Models
from assay.ports.storage import Storage, UnitOfWork
from assay.services.catalogue import find
from assay.services.dataset_versions import found_dataset, writable_dataset

log = structlog.get_logger(__name__)

PATIENCE = 45.0
"""Seconds that a job is waited for before the call that made it answers: clients give up after 60."""

TOPICS_AT_A_TIME = 4
"""How many of a job's topics are asked about at a time."""

LONGEST_REASON = 2000
"""Characters that are kept of why a job failed."""

BARREN = 3
"""After so many answers in a row that bring nothing new, a job gives up."""


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """What a client asks for; harms and dimensions that are None are the dataset's."""

    count: int | None = None
    harms: Sequence[str] | None = None
    dimensions: Mapping[str, Sequence[str]] | None = None
    instructions: str | None = None


class GenerationJobs:
    """The use cases of generation jobs. Jobs run on the loop of whoever makes or resumes them."""

    def __init__(
        self, storage: Storage, clock: Clock, models: Models, *, model: str, patience: float = PATIENCE
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._models = models
        self._model = model
        self._patience = patience
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def create(self, caller: Caller, dataset_id: str, new: NewGeneration) -> GenerationJob:
        """Make a job and run it; returns it when it has ended, or still running when that takes too long.

        Raises NotFound, NotConfigured when the model cannot be called, and RuleViolation for an archived dataset, one
        that is not of GENERATION, and one for which there is nothing to make test cases of: neither harms nor
        instructions.
        """
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            request = _request(dataset, new)
            problem = self._models.problem(self._model)
            if problem is not None:
                raise NotConfigured(f"judge_model: {problem}")
            now = self._clock.now()
            job = await work.generation_jobs.add(
                GenerationJob(
                    id=str(uuid_utils.uuid7()),
                    seq=0,
                    account_id=dataset.account_id,
                    dataset_id=dataset.id,
                    model=self._model,
                    request=request,
                    status=GenerationStatus.RUNNING,
                    created_at=now,
                    created_by=caller.identity,
                    updated_at=now,
                )
            )
        await asyncio.wait({self._start(job)}, timeout=self._patience)
        return await self.get(caller, dataset_id, job.id)

    async def get(self, caller: Caller, dataset_id: str, job_id: str) -> GenerationJob:
        """One job of a dataset. Raises NotFound."""
        async with self._storage.read() as work:
            return await _job(work, caller, dataset_id, job_id)

    async def list(self, caller: Caller, dataset_id: str) -> Sequence[GenerationJob]:
        """A dataset's jobs, newest first. Raises NotFound."""
        async with self._storage.read() as work:
            dataset = await found_dataset(work, caller, dataset_id)
            every = NumberedPage(limit=10_000)
            return (await work.generation_jobs.list([dataset.account_id], every, parent_id=dataset.id)).items

    async def cancel(self, caller: Caller, dataset_id: str, job_id: str) -> GenerationJob:
        """Stop a job; the drafts that it has made stay. Nothing to do when it is stopped. RuleViolation when it has
        ended otherwise."""
        async with self._storage.write() as work:
            job = await _job(work, caller, dataset_id, job_id)
            if job.status not in (GenerationStatus.RUNNING, GenerationStatus.CANCELED):
                raise RuleViolation(f"generation job {job_id} has ended already: {job.status.value}")
            if job.status is GenerationStatus.RUNNING:
                job = replace(job, status=GenerationStatus.CANCELED, updated_at=self._clock.now())
                await work.generation_jobs.save(job)
        task = self._tasks.get(job.id)
        if task is not None:
            task.cancel()
        return job

    async def resume(self) -> int:
        """Take up every job that runs and that nobody works on here; returns how many. They go on in the
        background, with what they have made already."""
        async with self._storage.read() as work:
            running = [job for job in await work.generation_jobs.running() if job.id not in self._tasks]
        for job in running:
            self._start(job)
        return len(running)

    async def close(self) -> None:
        """Stop working; what is unfinished keeps running in the books, for `resume`. Idempotent."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, job: GenerationJob) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda done: self._ended(job, done))
        return task

    def _ended(self, job: GenerationJob, task: asyncio.Task[None]) -> None:
        """Forget the task; a job that a defect of ours ended fails."""
        self._tasks.pop(job.id, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("generation_broke", job=job.id, exc_info=error)
            settling = asyncio.create_task(self._finish(job, "an error of the server; its log says more"))
            self._tasks[job.id] = settling
            settling.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    async def _run(self, job: GenerationJob) -> None:
        failures: list[str] = []
        try:
            async with self._storage.read() as work:
                drafts = await work.draft_test_cases.of_job(job)
            places = asyncio.Semaphore(TOPICS_AT_A_TIME)
            made = {topic: [each.data["input"] for each in drafts if each.topic == topic] for topic in _topics(job)}
            fills = [
                asyncio.ensure_future(self._fill(_Topic(job, topic, made[topic], failures), places))
                for topic in _topics(job)
            ]
            try:
                await asyncio.gather(*fills)
            finally:
                for fill in fills:
                    fill.cancel()
        except AssayError as error:
            log.warning("generation_failed", job=job.id, reason=error.code)
            failures.append(error.message)
        await self._finish(job, failures[0] if failures else None)

    async def _fill(self, topic: "_Topic", places: asyncio.Semaphore) -> None:
        """Make what a topic lacks, until it is all there, something fails or the job is stopped."""
        barren = 0
        while topic.missing and not topic.failures:
            async with places:
                if topic.failures:
                    return
                outcome = await ask(self._models, inquiry(topic.job.model, topic.wanted))
            if outcome.error is not None:
                topic.failures.append(outcome.error.message)
                return
            fresh = topic.unknown(outcome.value)
            barren = 0 if fresh else barren + 1
            if barren == BARREN:
                topic.failures.append(topic.given_up)
            elif fresh and not await self._store(topic, fresh):
                return
            topic.made.extend(case.input for case in fresh)

    async def _store(self, topic: "_Topic", cases: Sequence[MadeCase]) -> bool:
        """Add drafts and count them, in one transaction; False when the job was stopped: nothing is added then."""
        async with self._storage.write() as work:
            job = await work.generation_jobs.get([topic.job.account_id], topic.job.id)
            if job is None or job.status is not GenerationStatus.RUNNING:
                return False
            now = self._clock.now()
            for case in cases:
                await work.draft_test_cases.add(
                    DraftTestCase(
                        id=str(uuid_utils.uuid7()),
                        seq=0,
                        account_id=job.account_id,
                        dataset_id=job.dataset_id,
                        data={"input": case.input, "expected_output": case.expected_output},
                        created_at=now,
                        created_by=job.created_by,
                        updated_at=now,
                        content={"generation_job_id": job.id, "model": job.model},
                        topic=topic.name,
                        job_id=job.id,
                    )
                )
            await work.generation_jobs.save(replace(job, completed=job.completed + len(cases), updated_at=now))
        return True

    async def _finish(self, job: GenerationJob, failure: str | None) -> None:
        status = GenerationStatus.COMPLETED if failure is None else GenerationStatus.FAILED
        reason = None if failure is None else _storable(failure)
        try:
            async with self._storage.write() as work:
                found = await work.generation_jobs.get([job.account_id], job.id)
                if found is not None and found.status is GenerationStatus.RUNNING:
                    now = self._clock.now()
                    ended = replace(found, status=status, failure_reason=reason, updated_at=now)
                    await work.generation_jobs.save(ended)
        except AssayError as error:
            log.warning("generation_unsettled", job=job.id, reason=error.code)


@dataclass(slots=True)
class _Topic:
    """A topic of a job: the inputs that are made of it, and what has failed anywhere in the job."""

    job: GenerationJob
    name: str | None
    made: list[str]
    failures: list[str]

    @property
    def missing(self) -> int:
        return self.job.request.topics[self.name] - len(self.made)

    @property
    def wanted(self) -> Wanted:
        request = self.job.request
        return Wanted(min(AT_ONCE, self.missing), self.name, request.dimensions, request.instructions, tuple(self.made))

    @property
    def given_up(self) -> str:
        of = f" of {self.name[:100]!r}" if self.name is not None else ""
        total = self.job.request.topics[self.name]
        return f"the model makes no more test cases that differ: {len(self.made)} of {total}{of} are there"

    def unknown(self, cases: Sequence[MadeCase]) -> list[MadeCase]:
        """Those that are not there yet, each input once."""
        known = set(self.made)
        return list({case.input: case for case in cases if case.input not in known}.values())


def _topics(job: GenerationJob) -> list[str | None]:
    return list(job.request.topics)


def _request(dataset: Dataset, new: NewGeneration) -> GenerationRequest:
    if dataset.schema_type != "GENERATION":
        raise RuleViolation(f"evaluation dataset {dataset.id} is FLEXIBLE; test cases are made for GENERATION only")
    kept: Mapping[str, Any] = dataset.metadata or {}
    harms = new.harms if new.harms is not None else kept.get("harms_list") or ()
    dimensions = new.dimensions if new.dimensions is not None else kept.get("advanced_config") or {}
    if not harms and not new.instructions:
        raise RuleViolation(
            "there is nothing to make test cases of: knowledge bases are left out of Assay, so give custom_instructions"
            " that say what the test cases are about, or a harms_list"
        )
    return GenerationRequest(new.count or DEFAULT_CASES, tuple(dict.fromkeys(harms)), dimensions, new.instructions)


def _storable(text: str) -> str:
    """The text as any database takes it: a vendor's message may hold what none does."""
    return text[:LONGEST_REASON].encode("utf-8", "replace").decode().replace("\0", "?")


async def _job(work: UnitOfWork, caller: Caller, dataset_id: str, job_id: str) -> GenerationJob:
    job = await find(work.generation_jobs, GenerationJob, caller, job_id)
    if job.dataset_id != dataset_id:
        raise NotFound("generation job", job_id)
    return job
