"""A real server, a fake model endpoint and the official client, shared by a module's tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from scale_gp_beta import SGPClient

from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ServerProcess, fake_vendor, running_server


@dataclass
class Clients:
    """The ways to talk to one server: the official client, the same in strict mode, and raw requests."""

    official: SGPClient
    strict: SGPClient
    raw: httpx.Client


@pytest.fixture(scope="module")
def model_endpoint() -> Iterator[EndpointProcess]:
    """A fake model endpoint, a process of its own that answers at once what the last user message said."""
    with EndpointProcess(latency=0.005) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def server_environment() -> dict[str, str]:
    """More environment for this module's server; a module overrides it."""
    return {}


@pytest.fixture(scope="module")
def server(
    model_endpoint: EndpointProcess, server_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A running server. Whatever a test asks, it must never have logged a traceback or a request's key."""
    data_dir: Path = tmp_path_factory.mktemp("server") / "data"
    environment = {**fake_vendor(model_endpoint.url), **server_environment}
    with running_server(data_dir, **environment) as process:
        yield process
    assert "Traceback" not in process.log, process.log[-6000:]
    assert process.log.count(process.api_key) <= 1, "the key is printed once, on the first start"


@pytest.fixture(scope="module")
def clients(server: ServerProcess) -> Iterator[Clients]:
    """Clients of the module's server; the official ones do not retry, so that a 5xx shows."""
    shared = {"api_key": server.api_key, "account_id": "default", "base_url": server.base_url, "max_retries": 0}
    with (
        SGPClient(**shared) as official,
        SGPClient(**shared, _strict_response_validation=True) as strict,
        httpx.Client(
            base_url=server.base_url, headers={"x-api-key": server.api_key}, timeout=60, trust_env=False
        ) as raw,
    ):
        yield Clients(official, strict, raw)


@pytest.fixture
def client(clients: Clients) -> SGPClient:
    """The official client as a user makes it."""
    return clients.official


@pytest.fixture
def strict(clients: Clients) -> SGPClient:
    """The official client, checking every answer against its own types."""
    return clients.strict


@pytest.fixture
def raw(clients: Clients) -> httpx.Client:
    """Plain requests with the key."""
    return clients.raw
