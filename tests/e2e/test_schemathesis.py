"""Requests made up from our own API document, good and bad ones: none of them may be a server error."""

import contextlib
from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.e2e.conftest import Clients

LEFT_OUT = 501
EXAMPLES = 15


def new_things(raw: httpx.Client) -> dict[str, str]:
    """Ids of an evaluation, its item, its dataset and the dataset's item, and its group, by parameter name."""
    body = {"name": "found", "data": [{"a": "b"}], "dataset": {"name": "d"}, "taxonomy_params": {"x": 1}}
    made = raw.post("/v5/evaluations", json=body).json()
    item = raw.get(f"/v5/evaluation-items?evaluation_id={made['id']}").json()["items"][0]
    group = raw.post("/v5/evaluation-groups", json={"name": "g", "evaluation_ids": [made["id"]]}).json()
    return {
        "evaluation_id": made["id"],
        "evaluation_item_id": item["id"],
        "dataset_id": made["datasets"][0]["id"],
        "dataset_item_id": item["dataset_item_id"],
        "group_id": group["id"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_no_made_up_request_is_a_server_error(clients: Clients, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_dict(clients.raw.get("/openapi.json").json())
    key = {"x-api-key": clients.raw.headers["x-api-key"]}
    statuses: Counter[str] = Counter()
    faults: list[str] = []
    ids: dict[str, str] = {}

    for found in document.get_all_operations():
        operation = found.ok()
        ids.update(new_things(clients.raw))

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            made_up = {} if mode is GenerationMode.POSITIVE else dict(case.headers or {})
            case.headers = {**made_up, **key}
            if mode is GenerationMode.POSITIVE and len(str(case.path_parameters)) % 2:
                case.path_parameters.update((name, ids[name]) for name in case.path_parameters if name in ids)
            answer = case.call(base_url=str(clients.raw.base_url), timeout=30)
            statuses[f"{answer.status_code // 100}xx"] += 1
            if answer.status_code >= 500 and answer.status_code != LEFT_OUT:
                faults.append(f"{answer.status_code} {case.as_curl_command()} -> {answer.text[:500]}")

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request that takes nothing
            ask()

    assert faults == [], "\n".join(faults[:5])
    assert sum(statuses.values()) > 100
    assert statuses["4xx" if mode is GenerationMode.NEGATIVE else "2xx"] > 20, statuses
