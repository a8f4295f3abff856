"""The API with its evaluation services on a real SQLite storage, and an engine that does nothing by itself: tests
store the results that a job would."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assay.adapters.models import HttpModels
from assay.core.results import ErrorType, Outcome, Result, ResultStatus, TaskError, Usage
from assay.ports.storage import Storage
from assay.registry.discovery import load_metrics, load_task_types
from assay.registry.task_types import Services
from assay.services.aggregates import Aggregates
from assay.services.evaluations import Evaluations
from assay.services.exports import Exports
from assay.services.items import Items
from assay.settings import VendorSettings
from tests.builders.stored import MovableClock, RecordingEngine, ServedApi, served_api, sqlite_storage


class EchoDryRuns:
    """Gives each sample row back; an empty row is an error."""

    async def run(self, task_type: str, configuration: Mapping[str, Any], sample_data: Sequence[Any]) -> list[Outcome]:
        """A dry run's outcomes without running anything."""
        return [Outcome(value=row) if row else Outcome.failed(ErrorType.TIMEOUT, "too slow") for row in sample_data]


@dataclass(frozen=True)
class EvaluatingApi:
    """A served API, and what is behind it."""

    served: ServedApi
    storage: Storage
    engine: RecordingEngine
    clock: MovableClock

    async def create(self, data: Any = None, *, name: str = "an evaluation", **more: Any) -> dict[str, Any]:
        """Create an evaluation over HTTP; two rows unless others are given."""
        rows = [{"answer": "blue", "expected": "blue"}, {"answer": "red", "expected": "blue"}]
        body = {"name": name, "data": rows if data is None else data, **more}
        reply = await self.served.raw.post("/v5/evaluations", json=body)
        assert reply.status_code == 200, reply.text
        created: dict[str, Any] = reply.json()
        return created

    async def store(self, evaluation_id: str, alias: str, *values: Any) -> None:
        """Store a task's results on the first items, as a job would: a value each, an `ErrorType` for an error,
        a `ResultStatus` for no value."""
        async with self.storage.write() as unit:
            evaluation = await unit.evaluations.get(None, evaluation_id)
            assert evaluation is not None
            items = await unit.items.range(evaluation.seq, 0, 10**15)
            results = [
                _result(evaluation.seq, item.seq, alias, value) for item, value in zip(items, values, strict=False)
            ]
            await unit.results.add(results)
            await unit.evaluations.recount(evaluation.seq, [task.alias for task in evaluation.tasks])

    async def finish(self, evaluation_id: str, status: str = "completed") -> None:
        """Settle an evaluation."""
        async with self.storage.write() as unit:
            evaluation = await unit.evaluations.get(None, evaluation_id)
            assert evaluation is not None
            await unit.evaluations.set_status(evaluation.seq, status, None, finished_at=self.clock.now())


def _result(evaluation_seq: int, item_seq: int, alias: str, value: Any) -> Result:
    usage = Usage(latency=0.5, attempts=2, prompt_tokens=10, completion_tokens=3)
    if isinstance(value, ErrorType):
        error = TaskError(value, f"a {value} error")
        return Result(evaluation_seq, item_seq, alias, ResultStatus.ERRORED, error=error, usage=usage)
    if isinstance(value, ResultStatus):
        return Result(evaluation_seq, item_seq, alias, value)
    return Result(evaluation_seq, item_seq, alias, ResultStatus.COMPLETED, value, usage=usage)


def metric_task(alias: str | None = None, kind: str = "exact_match") -> dict[str, Any]:
    """A metric of `answer` against `expected`."""
    configuration = {"type": kind, "candidate": "item.answer", "reference": "item.expected"}
    return {"task_type": "metric", **({"alias": alias} if alias else {}), "configuration": configuration}


@asynccontextmanager
async def evaluating_api(folder: Path, *, task_services: Services | None = None) -> AsyncIterator[EvaluatingApi]:
    """The API with every evaluation service, on a new storage; evaluations of applications use `task_services`."""
    engine, clock, task_types = RecordingEngine(), MovableClock(), load_task_types()
    models = HttpModels({"fake": VendorSettings(base_url="http://127.0.0.1:9", api_key_required=False)})
    plain_services = Services(models, cast("Any", None), load_metrics())
    async with sqlite_storage(folder) as storage:
        services: dict[str, Any] = {
            "evaluations": Evaluations(storage, engine, clock, task_types, plain_services),
            "items": Items(storage),
            "exports": Exports(storage, clock, link_seconds=60),
            "aggregates": Aggregates(storage, clock, task_types),
            "dry_runs": EchoDryRuns(),
            "task_types": task_types,
        }
        async with served_api(storage, engine=engine, task_services=task_services, **services) as served:
            yield EvaluatingApi(served, storage, engine, clock)
    await models.close()
