"""The only place that picks adapters and builds the objects: a server, or local access to its data."""

import asyncio
import contextlib
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from assay.adapters.clock import SystemClock
from assay.core.errors import AssayError, NotConfigured, Unauthenticated, Unavailable
from assay.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from assay.adapters.engine.dbos_engine import DbosEngine
    from assay.adapters.storage import SqlStorage
    from assay.api.shared.services import ApiServices
    from assay.ports.engine import Job
    from assay.ports.inference import Inference
    from assay.registry.task_types import Services
    from assay.services.access import Access
    from assay.services.model_calls import PriceTable

log = structlog.get_logger()

SWITCH_INTERVAL = 0.001
"""Seconds a thread may keep the interpreter while another wants it: the web server's loop and the engine's
share it, and the default of 5 ms makes a request that changes threads six times wait 30 ms under load."""

COLLECT_AFTER = (50_000, 20, 50)
"""Thresholds of the garbage collector: the default of 700 walks the results in flight over and over."""

DISPLACED = 3
"""The exit code of a server that stopped because another took its database: it could not run on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server keeps things: its directory, its database, the engine's database and the key's file."""

    data_dir: Path
    database_url: str
    engine_url: str
    embedded: bool

    @property
    def key_file(self) -> Path:
        """The file with the embedded server's API key."""
        return self.data_dir / "api-key"

    @property
    def lock_file(self) -> Path:
        """The file that a server locks: beside the database file, wherever that is, else in the directory."""
        if self.embedded:
            return Path(self.database_url.removeprefix("sqlite:///") + ".lock")
        return self.data_dir / "lock"

    @property
    def server_file(self) -> Path:
        """The file that says where a running server is: `{"url", "pid"}`."""
        return self.data_dir / "server.json"


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server that has begun to serve says about itself."""

    url: str
    place: Place
    key_file: Path | None
    sandbox: str


def place_of(settings: Settings) -> Place:
    """The places that the settings name. The data directory is made, readable by its owner only."""
    data_dir = settings.data_dir.expanduser().absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise NotConfigured(f"data_dir: cannot make {data_dir}: {error.strerror}") from error
    if settings.database_url is None:
        return Place(data_dir, f"sqlite:///{data_dir}/assay.db", f"sqlite:///{data_dir}/engine.db", embedded=True)
    url = settings.database_url
    if url.startswith("sqlite:///"):
        return Place(data_dir, url, f"{url}.engine", embedded=True)
    if not url.startswith(("postgresql://", "postgres://")):
        scheme = url.split(":", 1)[0]
        raise NotConfigured(f"database_url: {scheme!r} is not supported; use sqlite:///PATH or postgresql://...")
    return Place(data_dir, url, url.replace("postgres://", "postgresql://", 1), embedded=False)


@contextmanager
def hold(place: Place) -> Iterator[None]:
    """Keep the data directory for this process alone. Raises Unavailable when another server has it,
    NotConfigured when the database's folder is not there or cannot be written."""
    try:
        handle = place.lock_file.open("a+")
    except OSError as error:
        raise NotConfigured(f"database_url: cannot write {place.lock_file}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            where = running_server(place)
            at = f" at {where['url']}" if where else ""
            raise Unavailable(f"another server already uses {place.lock_file.with_suffix('')}{at}") from error
        yield
    finally:
        handle.close()


def running_server(place: Place) -> dict[str, Any] | None:
    """What the server that holds the data directory wrote about itself; None when none runs."""
    try:
        found = json.loads(place.server_file.read_text())
        os.kill(int(found["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return found if isinstance(found, dict) and _is_held(place) else None


def _is_held(place: Place) -> bool:
    """Whether some server holds the lock: a pid alone may be another program's by now."""
    try:
        handle = place.lock_file.open("r")
    except OSError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def configure_logging(settings: Settings) -> None:
    """Log lines to standard error: readable on a terminal, JSON elsewhere. Tracebacks never show variables,
    which may hold keys and prompts."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    rendered: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@dataclass(slots=True)
class _Engine:
    """The engine's side of the server: what belongs to its loop."""

    settings: Settings
    place: Place
    services: "Services"
    _open: Any = None

    async def open_job(self) -> "Job":
        """Build what the job uses, on the engine's loop."""
        from assay.adapters.storage import open_storage
        from assay.ports.engine import Job
        from assay.registry.discovery import load_task_types
        from assay.services.execution import ChunkSizes, Execution
        from assay.services.model_calls import CallLedger, ModelCalls
        from assay.services.result_writer import ResultWriter

        storage = open_storage(self.place.database_url)
        writer = ResultWriter(storage, self.settings.flush_seconds)
        clock = SystemClock()
        keep_for = timedelta(days=self.settings.cache_days)
        ledger = CallLedger(storage, clock, flush_seconds=self.settings.flush_seconds, keep_for=keep_for)
        execution = Execution(
            storage,
            writer,
            load_task_types(),
            self.services,
            clock,
            chunk_sizes=ChunkSizes(largest=self.settings.chunk_size),
            calls=ModelCalls(self.services.models, ledger, price_table(self.settings)),
        )
        self._open = (writer, ledger, storage)
        return Job(execution.plan, execution.run_chunk, execution.finish, execution.unfinished)

    async def close_job(self) -> None:
        """Store what is finished, then release everything."""
        if self._open is None:
            return
        writer, ledger, storage = self._open
        self._open = None
        for each in (writer, ledger):
            with contextlib.suppress(Exception):
                async with asyncio.timeout(10):
                    await each.close()
        await self.services.sandbox.close()
        await self.services.models.close()
        await self.services.applications.close()
        await storage.close()


def price_table(settings: Settings) -> "PriceTable":
    """The vendors' prices and endpoints."""
    from assay.core.model_calls import Price
    from assay.services.model_calls import PriceTable

    vendors = settings.all_vendors()
    return PriceTable(
        prices={
            name: {model: Price(each.input, each.output) for model, each in vendor.prices.items()}
            for name, vendor in vendors.items()
        },
        endpoints={name: f"{vendor.dialect} {vendor.base_url}" for name, vendor in vendors.items()},
    )


async def build_services(settings: Settings) -> "tuple[Services, Inference]":
    """What tasks use, and inference over the same vendors and limits; serves the web server's loop and the engine's.
    Closing the services' models closes both."""
    from assay.adapters.applications import HttpApplications
    from assay.adapters.models import HttpInference, HttpModels
    from assay.adapters.sandbox import open_sandbox
    from assay.registry.discovery import load_metrics
    from assay.registry.task_types import Services

    models = HttpModels(settings.all_vendors())
    services = Services(
        models=models,
        sandbox=await open_sandbox(settings),
        metrics=load_metrics(),
        applications=HttpApplications(settings),
        judge_model=settings.vendor_model(settings.judge_model),
    )
    return services, HttpInference(models.calls)


def build_engine(settings: Settings, place: Place, services: "Services") -> "DbosEngine":
    """The durable engine, not yet launched."""
    from assay.adapters.engine.dbos_engine import DbosEngine, EngineSettings

    side = _Engine(settings, place, services)
    engine_settings = EngineSettings(
        database_url=place.engine_url,
        executor_id="embedded",
        chunks_in_flight=settings.chunks_in_flight,
        poll_seconds=settings.engine_poll_seconds,
    )
    return DbosEngine(engine_settings, side.open_job, side.close_job)


def build_api_services(
    settings: Settings,
    storage: "SqlStorage",
    engine: "DbosEngine",
    task_services: "Services",
    inference: "Inference",
) -> "ApiServices":
    """The objects behind the HTTP API, for the web server's loop."""
    from assay.api.shared.services import ApiServices
    from assay.registry.discovery import load_task_types
    from assay.services.access import Access
    from assay.services.aggregates import Aggregates
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
    from assay.services.dry_runs import DryRuns
    from assay.services.estimates import Estimates
    from assay.services.evaluation_configs import EvaluationConfigs
    from assay.services.evaluations import Evaluations
    from assay.services.exports import Exports
    from assay.services.files import Files
    from assay.services.generation import GenerationJobs
    from assay.services.groups import Groups
    from assay.services.inference import InferenceCalls
    from assay.services.interactions import Interactions
    from assay.services.items import Items
    from assay.services.labelling_metrics import LabellingMetrics
    from assay.services.model_records import ModelDeployments, ModelInstances, ModelTemplates
    from assay.services.questions import Questions, QuestionSets
    from assay.services.registered_models import RegisteredModels
    from assay.services.result_claims import ResultClaims
    from assay.services.resumption import Resumption
    from assay.services.rubrics import Rubrics
    from assay.services.spans import SpanAssessments, Spans
    from assay.services.studio_projects import StudioProjects
    from assay.services.test_case_results import TestCaseResults
    from assay.services.test_cases import TestCases
    from assay.services.variant_reports import VariantReports

    clock, task_types = SystemClock(), load_task_types()
    configs = EvaluationConfigs(storage, clock, judge_model=settings.judge_model)
    application_tasks = ApplicationTasks(task_types, task_services, resolve_model=settings.vendor_model)
    annotation_tasks = AnnotationTasks(storage, clock, lease_seconds=settings.annotation_lease_seconds)
    prices = price_table(settings)
    evaluations = Evaluations(storage, engine, clock, task_types, task_services, prices)
    registered_models = RegisteredModels(storage, clock, inference)
    return ApiServices(
        storage=storage,
        access=Access(storage, clock),
        agreement=Agreement(storage),
        annotation_batches=AnnotationBatches(storage, clock),
        annotation_tasks=annotation_tasks,
        contributor_answers=ContributorAnswers(storage, clock, annotation_tasks),
        evaluations=evaluations,
        items=Items(storage),
        exports=Exports(storage, clock, link_seconds=settings.export_link_seconds),
        aggregates=Aggregates(storage, clock, task_types),
        datasets=Datasets(storage, clock),
        files=Files(storage, clock),
        estimates=Estimates(storage, evaluations, task_types, prices),
        groups=Groups(storage, clock),
        spans=Spans(storage, clock),
        span_assessments=SpanAssessments(storage, clock),
        dry_runs=DryRuns(task_types, task_services),
        application_runs=ApplicationRuns(storage, task_services.applications),
        application_specs=ApplicationSpecs(storage, clock),
        application_variants=ApplicationVariants(storage, clock, task_services.applications),
        questions=Questions(storage, clock),
        question_sets=QuestionSets(storage, clock),
        rubrics=Rubrics(storage, clock),
        evaluation_configs=configs,
        application_evaluations=ApplicationEvaluations(storage, clock, configs, application_tasks, engine),
        application_outputs=ApplicationOutputs(storage, clock),
        dataset_versions=DatasetVersions(storage, clock),
        test_cases=TestCases(storage, clock),
        result_claims=ResultClaims(storage, clock, annotation_tasks),
        labelling_metrics=LabellingMetrics(storage),
        test_case_results=TestCaseResults(storage, clock, task_types, Resumption(engine)),
        inference=InferenceCalls(inference, storage, registered_models),
        registered_models=registered_models,
        studio_projects=StudioProjects(storage, clock),
        model_templates=ModelTemplates(storage, clock),
        model_instances=ModelInstances(storage, clock),
        model_deployments=ModelDeployments(storage, clock),
        interactions=Interactions(storage, clock),
        variant_reports=VariantReports(storage, clock),
        generation_jobs=GenerationJobs(storage, clock, task_services.models, model=task_services.judge_model),
        draft_test_cases=DraftTestCases(storage, clock),
        task_types=task_types,
    )


async def upgrade(settings: Settings) -> None:
    """Bring the database's schema up to date."""
    from assay.adapters.storage import upgrade as upgrade_storage

    await upgrade_storage(place_of(settings).database_url)


async def prepare_database(place: Place) -> str:
    """Make the schema or bring the embedded one up to date; returns what was found (`current`, `older`, `empty`).
    Raises NotConfigured for a shared database whose schema is older (its owner upgrades it) or any whose schema
    is newer than this program."""
    from assay.adapters.storage import schema_state
    from assay.adapters.storage import upgrade as upgrade_storage

    state = await schema_state(place.database_url)
    if state == "newer":
        raise NotConfigured("the database was made by a newer Assay; upgrade this one (pip install -U assay-evals)")
    if state == "older" and not place.embedded:
        raise NotConfigured("the database's schema is older than this Assay; run: assay db upgrade --database-url ...")
    if state != "current":
        await upgrade_storage(place.database_url)
    return state


@dataclass(frozen=True, slots=True)
class Local:
    """Direct access to a server's data, without the server."""

    place: Place
    access: "Access"


@asynccontextmanager
async def open_local(settings: Settings) -> AsyncIterator[Local]:
    """Open the database that the settings name; it may be in use by a server at the same time."""
    from assay.adapters.storage import open_storage
    from assay.services.access import Access

    place = place_of(settings)
    await prepare_database(place)
    storage = open_storage(place.database_url)
    try:
        yield Local(place, Access(storage, SystemClock()))
    finally:
        await storage.close()


async def first_key(settings: Settings, place: Place, access: "Access") -> Path | None:
    """See to it that there is a key: the one that is set, or the data directory's own, made at first start,
    kept with mode 0600 and printed once. Returns its file; None when the key was set."""
    if settings.api_key is not None:
        await access.ensure_key("ASSAY_API_KEY", settings.api_key)
        return None
    if not place.embedded and await access.list_keys():
        return None
    kept = place.key_file.read_text().strip() if place.key_file.exists() else ""
    if kept:
        try:
            await access.ensure_key("first key", kept)
        except Unauthenticated:
            log.warning("the key in this file was revoked; use another (assay keys create)", file=str(place.key_file))
        return place.key_file
    _, secret = await access.create_key("first key")
    _write_whole(place.key_file, secret + "\n")
    sys.stdout.write(f"A first API key was made. It is shown once and kept in the file named below: {secret}\n")
    return place.key_file


def _write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner may read; after a crash it is there as a whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def serve(settings: Settings, on_ready: Callable[[Ready], None] | None = None) -> int:
    """Run a server until it is told to stop by SIGINT or SIGTERM; returns the exit code.

    Raises NotConfigured or Unavailable when it cannot start: a bad setting, a taken port, a data directory
    that another server holds.
    """
    configure_logging(settings)
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(*COLLECT_AFTER)
    place = place_of(settings)
    with hold(place):
        listener = _listen(settings)
        runner = asyncio.Runner(loop_factory=_new_loop)
        with runner:
            return runner.run(_serve(settings, place, listener, on_ready))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise Unavailable(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; try --port") from error
    return listener


async def _serve(
    settings: Settings, place: Place, listener: socket.socket, on_ready: Callable[[Ready], None] | None
) -> int:
    import uvicorn

    from assay.adapters.storage import open_storage
    from assay.api.app import build_api

    displaced = False

    def give_way() -> None:
        nonlocal displaced
        displaced = True
        log.error("another server has taken this database; stopping")
        os.kill(os.getpid(), signal.SIGTERM)

    if await prepare_database(place) == "older":
        log.info("the database was of an older Assay; its schema is up to date now", data_dir=str(place.data_dir))
    storage = open_storage(place.database_url)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(storage.close)
        await stack.enter_async_context(storage.sole_server(give_way))
        task_services, inference = await build_services(settings)
        stack.push_async_callback(task_services.models.close)
        stack.push_async_callback(task_services.applications.close)
        stack.push_async_callback(task_services.sandbox.close)
        engine = build_engine(settings, place, task_services)
        stack.push_async_callback(asyncio.to_thread, engine.close)
        services = build_api_services(settings, storage, engine, task_services, inference)
        stack.push_async_callback(services.generation_jobs.close)
        await services.generation_jobs.resume()
        key_file = await first_key(settings, place, services.access)
        await asyncio.to_thread(engine.launch)
        config = uvicorn.Config(
            build_api(services, settings),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        gc.freeze()
        stack.callback(place.server_file.unlink, missing_ok=True)
        ready = Ready(_url(listener), place, key_file, task_services.sandbox.name)
        starting = asyncio.create_task(_when_started(server, ready, on_ready, storage, settings.warm_evaluations))
        with _signals_stop_only_the_web_server():
            await server.serve(sockets=[listener])
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    return DISPLACED if displaced else 0


@contextmanager
def _signals_stop_only_the_web_server() -> Iterator[None]:
    """The web server stops on a signal and then raises it again, which would end the process before the engine
    is closed: inside, that second raise does nothing. Afterwards one more signal ends the process at once."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _when_started(
    server: "uvicorn.Server",
    ready: Ready,
    on_ready: Callable[[Ready], None] | None,
    storage: "SqlStorage",
    warm_evaluations: int,
) -> None:
    """Say that the server serves, then load what its first filters would wait for."""
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    ready.place.server_file.write_text(json.dumps({"url": ready.url, "pid": os.getpid()}))
    if on_ready is not None:
        on_ready(ready)
    if warm_evaluations:
        begun = time.perf_counter()
        try:
            warmed = await storage.warm(warm_evaluations)
        except AssayError as error:
            log.warning("the indexes for filters are loaded when they are first needed", error=str(error))
            return
        if warmed:
            seconds = round(time.perf_counter() - begun, 1)
            log.info("the indexes for filters are loaded", evaluations=warmed, seconds=seconds)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
