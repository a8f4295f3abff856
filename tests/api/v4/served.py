"""The API served in process to version 4's official client, in its strict mode."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from scale_gp import AsyncSGPClient

from assay.ports.storage import Storage
from tests.builders.stored import served_api


@dataclass(frozen=True)
class ServedV4:
    """Ways to call version 4: plain requests from `default` and from `other`, and the official client, which
    raises for an answer that is not of its types, from `default`."""

    raw: httpx.AsyncClient
    stranger: httpx.AsyncClient
    official: AsyncSGPClient


@asynccontextmanager
async def served_v4(storage: Storage, **services: Any) -> AsyncIterator[ServedV4]:
    """The API on a storage, without a socket; `services` as in `served_api`."""
    async with served_api(storage, **services) as served:
        official = AsyncSGPClient(
            api_key=served.raw.headers["x-api-key"],
            base_url="http://assay.test",
            max_retries=0,
            http_client=served.raw,
            _strict_response_validation=True,
        )
        yield ServedV4(served.raw, served.stranger, official)
