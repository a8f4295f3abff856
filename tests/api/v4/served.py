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
    """Ways to call version 4: plain requests from `default` and from `other`, and the official client from
    `default`. `official` raises for an answer that is not of its types; `lenient` is the client as it comes, for
    the calls whose types the strict one cannot even build (those of application variants)."""

    raw: httpx.AsyncClient
    stranger: httpx.AsyncClient
    official: AsyncSGPClient
    lenient: AsyncSGPClient


@asynccontextmanager
async def served_v4(storage: Storage, **services: Any) -> AsyncIterator[ServedV4]:
    """The API on a storage, without a socket; `services` as in `served_api`."""
    async with served_api(storage, **services) as served:
        strict, lenient = (
            AsyncSGPClient(
                api_key=served.raw.headers["x-api-key"],
                base_url="http://assay.test",
                max_retries=0,
                http_client=served.raw,
                _strict_response_validation=is_strict,
            )
            for is_strict in (True, False)
        )
        yield ServedV4(served.raw, served.stranger, strict, lenient)


def faults(answer: httpx.Response) -> list[list[str | int]]:
    """The places of the problems that a 422 lists."""
    assert answer.status_code == 422, answer.text
    return [problem["loc"] for problem in answer.json()["detail"]]


def same(one: Any, other: Any) -> bool:
    """Whether two answers of the official client say the same; it has a class of its own for every call."""
    return bool(one.to_dict() == other.to_dict())
