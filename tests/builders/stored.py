"""What tests of services and routes start from: a SQLite storage in a folder, callers, evaluations in it, and
the API served in process with a key for each of two accounts."""

import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
from scale_gp_beta import AsyncSGPClient

from assay.adapters.applications import HttpApplications
from assay.adapters.clock import SystemClock
from assay.adapters.storage.schema import upgrade
from assay.adapters.storage.storage import open_storage
from assay.api.app import build_api
from assay.api.shared.services import ApiServices
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.identity import Account, Caller, Identity
from assay.ports.engine import Engine
from assay.ports.storage import Storage
from assay.registry.discovery import load_metrics, load_task_types
from assay.registry.task_types import Services
from assay.services.access import Access
from assay.services.agreement import Agreement
from assay.services.annotation import AnnotationTasks
from assay.services.annotation_batches import AnnotationBatches
from assay.services.application_evaluations import ApplicationEvaluations
from assay.services.application_outputs import ApplicationOutputs
from assay.services.application_runs import ApplicationRuns
from assay.services.application_tasks import ApplicationTasks
from assay.services.applications import ApplicationSpecs, ApplicationVariants
from assay.services.contributor_answers import ContributorAnswers
from assay.services.dataset_versions import DatasetVersions
from assay.services.datasets import Datasets
from assay.services.draft_test_cases import DraftTestCases
from assay.services.evaluation_configs import EvaluationConfigs
from assay.services.files import Files
from assay.services.groups import Groups
from assay.services.interactions import Interactions
from assay.services.labelling_metrics import LabellingMetrics
from assay.services.model_records import ModelDeployments, ModelInstances, ModelTemplates
from assay.services.questions import Questions, QuestionSets
from assay.services.result_claims import ResultClaims
from assay.services.resumption import Resumption
from assay.services.rubrics import Rubrics
from assay.services.spans import SpanAssessments, Spans
from assay.services.studio_projects import StudioProjects
from assay.services.test_case_results import TestCaseResults
from assay.services.test_cases import TestCases
from assay.services.variant_reports import VariantReports
from assay.settings import Settings
from tests.fakes.models import FakeModels

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ACCOUNTS = ("default", "other")


class RecordingEngine:
    """Remembers what it was told and runs nothing."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.resumed: list[str] = []
        self.cancelled: list[str] = []

    async def start(self, evaluation_id: str) -> None:
        """Remember a start."""
        self.started.append(evaluation_id)

    async def resume(self, evaluation_id: str) -> None:
        """Remember a resumption."""
        self.resumed.append(evaluation_id)

    async def cancel(self, evaluation_id: str) -> None:
        """Remember a cancellation."""
        self.cancelled.append(evaluation_id)


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = LONG_AGO + timedelta(days=1)

    def now(self) -> datetime:
        """The moment it stands at."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds, of the same moment."""
        return self.moment.timestamp()

    def tick(self, seconds: float = 1.0) -> None:
        """Move it forward."""
        self.moment += timedelta(seconds=seconds)


def caller_of(account_id: str) -> Caller:
    """Somebody in an account."""
    return Caller(account_id, Identity(f"somebody in {account_id}"))


_made: list[bytes] = []


async def _empty_database(folder: Path) -> bytes:
    """A migrated database file's bytes; migrating takes a second, so that it is done once."""
    if not _made:
        path = folder / "template.db"
        await upgrade(f"sqlite:///{path}")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _made.append(path.read_bytes())
    return _made[0]


@asynccontextmanager
async def sqlite_storage(folder: Path) -> AsyncIterator[Storage]:
    """A new SQLite storage with two accounts, `default` and `other`."""
    path = folder / "assay.db"
    path.write_bytes(await _empty_database(folder))
    storage = open_storage(f"sqlite:///{path}")
    try:
        async with storage.write() as work:
            for account_id in ACCOUNTS:
                await work.accounts.ensure(Account(account_id, account_id, LONG_AGO))
        yield storage
    finally:
        await storage.close()


async def a_stored_evaluation(storage: Storage, caller: Caller, **fields: Any) -> Evaluation:
    """An evaluation without items, completed, made long ago; `fields` are any of its own."""
    evaluation = Evaluation(
        **{
            "id": str(uuid.uuid4()),
            "seq": 0,
            "account_id": caller.account_id,
            "name": "an evaluation",
            "description": None,
            "tags": (),
            "metadata": None,
            "tasks": (),
            "status": EvaluationStatus.COMPLETED,
            "status_reason": None,
            "progress": Progress(),
            "has_job": False,
            "created_at": LONG_AGO,
            "created_by": caller.identity,
            "updated_at": LONG_AGO,
            **fields,
        }
    )
    async with storage.write() as work:
        return await work.evaluations.add(evaluation)


@dataclass(frozen=True)
class ServedApi:
    """Ways to call an API: plain requests from `default` and from `other`, and the official client in its
    strict mode from `default`."""

    raw: httpx.AsyncClient
    stranger: httpx.AsyncClient
    official: AsyncSGPClient


@asynccontextmanager
async def served_api(
    storage: Storage, *, engine: Engine | None = None, task_services: Services | None = None, **services: Any
) -> AsyncIterator[ServedApi]:
    """The API on a storage, without a socket; `services` replaces or adds services by their field's name.
    Routes of services that are neither here nor given cannot be called. Tasks get `task_services`."""
    clock, task_types = SystemClock(), load_task_types()
    jobs = engine or RecordingEngine()
    tasks = ApplicationTasks(
        task_types,
        task_services or Services(FakeModels(), cast("Any", None), load_metrics()),
        resolve_model=Settings().vendor_model,
    )
    access = Access(storage, clock)
    known: dict[str, Any] = dict.fromkeys(ApiServices.__dataclass_fields__)
    known |= {"storage": storage, "access": access, "task_types": {}}
    known |= {"datasets": Datasets(storage, clock), "groups": Groups(storage, clock)}
    known |= {"files": Files(storage, clock), "spans": Spans(storage, clock)}
    known |= {"span_assessments": SpanAssessments(storage, clock)}
    applications = HttpApplications(Settings(), {})
    known |= {
        "agreement": Agreement(storage),
        "annotation_batches": AnnotationBatches(storage, clock),
        "annotation_tasks": (annotation := AnnotationTasks(storage, clock)),
        "contributor_answers": ContributorAnswers(storage, clock, annotation),
    }
    known |= {
        "application_specs": ApplicationSpecs(storage, clock),
        "application_variants": ApplicationVariants(storage, clock, applications),
        "application_runs": ApplicationRuns(storage, applications),
        "questions": Questions(storage, clock),
        "question_sets": QuestionSets(storage, clock),
        "rubrics": Rubrics(storage, clock),
        "evaluation_configs": (configs := EvaluationConfigs(storage, clock, judge_model="gpt-4o")),
        "application_evaluations": ApplicationEvaluations(storage, clock, configs, tasks, jobs),
        "application_outputs": ApplicationOutputs(storage, clock),
        "dataset_versions": DatasetVersions(storage, clock),
        "test_cases": TestCases(storage, clock),
        "studio_projects": StudioProjects(storage, clock),
        "model_templates": ModelTemplates(storage, clock),
        "model_instances": ModelInstances(storage, clock),
        "model_deployments": ModelDeployments(storage, clock),
        "interactions": Interactions(storage, clock),
        "variant_reports": VariantReports(storage, clock),
        "draft_test_cases": DraftTestCases(storage, clock),
        "result_claims": ResultClaims(storage, clock, AnnotationTasks(storage, clock)),
        "labelling_metrics": LabellingMetrics(storage),
        "test_case_results": TestCaseResults(storage, clock, task_types, Resumption(jobs, pause=0)),
    }
    app = build_api(ApiServices(**{**known, **services}), Settings())
    keys = [(await access.create_key(account_id, account_ids=[account_id]))[1] for account_id in ACCOUNTS]
    async with _client(app, keys[0]) as raw, _client(app, keys[1]) as stranger, _client(app, keys[0]) as transport:
        official = AsyncSGPClient(
            api_key=keys[0],
            account_id="default",
            base_url="http://assay.test",
            max_retries=0,
            http_client=transport,
            _strict_response_validation=True,
        )
        yield ServedApi(raw, stranger, official)
    await applications.close()


def _client(app: Any, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://assay.test", headers={"x-api-key": key}
    )
