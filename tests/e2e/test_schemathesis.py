"""Requests made up from our own API document: none of them may be a server error or answer what is undocumented."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from tests.e2e.conftest import Clients

LEFT_OUT = 501


@pytest.fixture
def document(clients: Clients) -> schemathesis.schemas.BaseSchema:
    """The live server's document, with one evaluation, dataset and group there to be found."""
    raw: httpx.Client = clients.raw
    made = raw.post("/v5/evaluations", json={"name": "found", "data": [{"a": "b"}], "dataset": {"name": "d"}}).json()
    raw.post("/v5/evaluation-groups", json={"name": "g", "evaluation_ids": [made["id"]]})
    return schemathesis.openapi.from_dict(raw.get("/openapi.json").json())


schema = schemathesis.pytest.from_fixture("document")


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_that_the_document_allows_is_a_server_error(case: schemathesis.Case, clients: Clients) -> None:
    response = case.call(
        base_url=str(clients.raw.base_url), headers={"x-api-key": clients.raw.headers["x-api-key"]}, timeout=30
    )

    if response.status_code != LEFT_OUT:
        case.validate_response(response, checks=[not_a_server_error])
