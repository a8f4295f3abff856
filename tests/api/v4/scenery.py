"""What evaluations of applications stand on, made over the wire by version 4's official client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
from scale_gp import AsyncSGPClient

from assay.adapters.clock import SystemClock
from assay.ports.storage import Storage
from assay.registry.discovery import load_metrics, load_task_types
from assay.registry.task_types import Services
from assay.services.access import Access
from assay.services.execution import ChunkSizes, Execution
from assay.services.model_calls import CallLedger, ModelCalls, PriceTable
from assay.services.result_writer import ResultWriter
from tests.builders.evaluating import EvaluatingApi, evaluating_api
from tests.fakes.models import FakeModels

ACCOUNT = "default"


@dataclass(frozen=True)
class Stage:
    """Both versions of the API over one storage: plain requests, version 4's official client in its strict mode,
    and the evaluations of version 5."""

    raw: httpx.AsyncClient
    stranger: httpx.AsyncClient
    client: AsyncSGPClient
    v5: EvaluatingApi
    storage: Storage
    models: FakeModels
    services: Services

    async def run(self, evaluation_id: str, *, chunks: int | None = None) -> None:
        """Run the job of an evaluation, or only its first chunks, as the engine does."""
        writer = ResultWriter(self.storage, 0.01)
        sizes = ChunkSizes(largest=4, smallest=2, parts=2)
        clock = SystemClock()
        ledger = CallLedger(self.storage, clock, flush_seconds=0.01, keep_for=timedelta(days=1))
        execution = Execution(
            self.storage,
            writer,
            load_task_types(),
            self.services,
            clock,
            chunk_sizes=sizes,
            calls=ModelCalls(self.services.models, ledger, PriceTable()),
        )
        planned = await execution.plan(evaluation_id)
        for chunk in planned[:chunks]:
            await execution.run_chunk(chunk)
        if chunks is None:
            await execution.finish(evaluation_id, None)
        await writer.close()
        await ledger.close()

    @asynccontextmanager
    async def person(self, name: str) -> AsyncIterator[AsyncSGPClient]:
        """Somebody else of the same account: version 4's client with a key of their own."""
        _, key = await Access(self.storage, SystemClock()).create_key(name, account_ids=[ACCOUNT])
        async with httpx.AsyncClient(transport=self.raw._transport, headers={"x-api-key": key}) as transport:
            yield AsyncSGPClient(
                api_key=key,
                base_url="http://assay.test",
                max_retries=0,
                http_client=transport,
                _strict_response_validation=True,
            )

    async def unfinished(self) -> list[str]:
        """The evaluations that the engine has work for."""
        async with self.storage.read() as work:
            return [evaluation.id for evaluation in await work.evaluations.list_running()]

    async def spec(self, name: str = "an application") -> str:
        made = await self.client.application_specs.create(account_id=ACCOUNT, name=name, description="d")
        return made.id

    async def variant(self, spec_id: str, name: str = "a variant") -> str:
        """A variant, made by a plain request: the client's own type for the answer is not fully defined."""
        body = {"account_id": ACCOUNT, "application_spec_id": spec_id, "name": name, "version": "OFFLINE"}
        made = await self.raw.post("/v4/application-variants", json={**body, "configuration": {}})
        assert made.status_code == 200, made.text
        return str(made.json()["id"])

    async def upload(self, variant_id: str, cases: list[str], **more: Any) -> str:
        """Outputs of a variant for the test cases of version 1, and the id of their group."""
        body = {"account_id": ACCOUNT, "application_variant_id": variant_id, "evaluation_dataset_version_num": 1}
        made = await self.client.application_test_case_outputs.batch(
            items=[
                {**body, "test_case_id": case, "output": {"generation_output": f"a{number}"}, **more}
                for number, case in enumerate(cases)
            ]
        )
        return str(made[0].application_test_case_output_group_id)

    async def evaluation(self, spec_id: str | None = None, **more: Any) -> Any:
        body = {"account_id": ACCOUNT, "name": "an evaluation", "description": "", **more}
        return await self.client.evaluations.create(application_spec_id=spec_id or await self.spec(), **body)

    async def dataset(self, count: int = 2, schema_type: str = "GENERATION", **more: Any) -> tuple[str, list[str]]:
        """A published dataset and the ids of its test cases."""
        dataset = await self.client.evaluation_datasets.create(
            account_id=ACCOUNT, name="a dataset", schema_type=schema_type, **more
        )
        cases = await self.client.evaluation_datasets.test_cases.batch(
            dataset.id,
            items=[{"test_case_data": {"input": f"q{n}", "expected_output": f"a{n}"}} for n in range(count)],
        )
        await self.client.evaluation_datasets.publish(dataset.id)
        return dataset.id, [case.id for case in cases]

    async def config(self, *questions: dict[str, Any], kind: str = "human") -> tuple[Any, list[str]]:
        """An evaluation config over new questions, and their ids; one categorical question by default."""
        choices = [{"label": "Good", "value": 1}, {"label": "Bad", "value": 0, "audit_required": True}]
        asked = questions or ({"type": "categorical", "choices": choices, "required": True},)
        ids = []
        for number, question in enumerate(asked):
            made = await self.client.questions.create(
                **{"account_id": ACCOUNT, "title": f"t{number}", "prompt": "?", **question}
            )
            ids.append(made.id)
        question_set = await self.client.question_sets.create(account_id=ACCOUNT, name="set", question_ids=ids)
        config = await self.client.evaluation_configs.create(
            account_id=ACCOUNT, question_set_id=question_set.id, evaluation_type=kind
        )
        return config, ids


@asynccontextmanager
async def a_stage(folder: Path) -> AsyncIterator[Stage]:
    """A stage on a new SQLite storage."""
    models = FakeModels()
    services = Services(models, cast("Any", None), load_metrics())
    async with evaluating_api(folder, task_services=services) as v5:
        served = v5.served
        client = AsyncSGPClient(
            api_key=served.raw.headers["x-api-key"],
            base_url="http://assay.test",
            max_retries=0,
            http_client=served.raw,
            _strict_response_validation=True,
        )
        yield Stage(served.raw, served.stranger, client, v5, v5.storage, models, services)
