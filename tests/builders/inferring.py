"""The API with its inference services on a new SQLite storage, over the real HTTP adapter and a scripted endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.adapters.models import HttpInference, HttpModels
from assay.services.inference import InferenceCalls
from assay.services.registered_models import RegisteredModels
from assay.settings import VendorSettings
from tests.builders.stored import MovableClock, ServedApi, served_api, sqlite_storage
from tests.fakes.model_endpoint import FakeEndpoint

SERVERS_KEY = "k-3c9f2b71aa"


@dataclass(frozen=True)
class InferringApi:
    """A served API and the endpoint behind its vendors: `openai`, which has a key, `anthropic`, which speaks the
    other dialect, `keyless`, whose key is missing, and `away`, where nobody listens."""

    served: ServedApi
    endpoint: FakeEndpoint
    clock: MovableClock

    async def register(self, name: str = "m", vendor: str = "openai", **more: Any) -> dict[str, Any]:
        """Register a chat model over HTTP."""
        body = {"name": name, "model_vendor": vendor, "model_type": "chat_completion", **more}
        reply = await self.served.raw.post("/v5/models", json=body)
        assert reply.status_code == 200, reply.text
        made: dict[str, Any] = reply.json()
        return made


@asynccontextmanager
async def inferring_api(folder: Path) -> AsyncIterator[InferringApi]:
    """The API, its endpoint and nothing running after the block."""
    async with FakeEndpoint() as endpoint, sqlite_storage(folder) as storage:
        quick: dict[str, Any] = {"max_attempts": 2, "timeout": 5.0}
        vendors = {
            "openai": VendorSettings(base_url=endpoint.url, api_key_env="SERVERS_KEY", **quick),
            "anthropic": VendorSettings(base_url=endpoint.root, dialect="anthropic", **quick),
            "keyless": VendorSettings(base_url=endpoint.url, api_key_env="NO_SUCH_KEY", api_key_required=True, **quick),
            "away": VendorSettings(base_url="http://127.0.0.1:9/v1", max_attempts=1),
        }
        models = HttpModels(vendors, {"SERVERS_KEY": SERVERS_KEY})
        inference, clock = HttpInference(models.calls), MovableClock()
        registered = RegisteredModels(storage, clock, inference)
        calls = InferenceCalls(inference, storage, registered)
        async with served_api(storage, registered_models=registered, inference=calls) as served:
            yield InferringApi(served, endpoint, clock)
        await models.close()
