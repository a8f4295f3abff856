"""Which account a request is about, what of other accounts shows, and users and accounts themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from scale_gp import AsyncSGPClient

from assay.adapters.clock import SystemClock
from assay.core.identity import Identity
from assay.ports.storage import Storage
from assay.services.access import Access
from tests.api.v4.served import served_v4
from tests.builders.stored import sqlite_storage

FAMILIES = {
    "application-specs": {"name": "x", "description": ""},
    "questions": {"title": "t", "prompt": "p", "type": "number"},
    "question-sets": {"name": "x", "question_ids": []},
}


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with sqlite_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
async def both(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    """Requests with a key of both accounts, `other` being its default."""
    _, secret = await Access(storage, SystemClock()).create_key(
        "both", account_ids=["other", "default"], identity=Identity("ann@example.com", "user")
    )
    async with served_v4(storage) as served:
        served.raw.headers["x-api-key"] = secret
        yield served.raw


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_body_names_the_account_before_the_header_and_the_header_before_the_key(
    both: httpx.AsyncClient, family: str
) -> None:
    path, body = f"/v4/{family}", FAMILIES[family]
    header = {"x-selected-account-id": "default"}
    assert (await both.post(path, json=body)).json()["account_id"] == "other"
    assert (await both.post(path, json={**body, "account_id": None})).json()["account_id"] == "other"
    assert (await both.post(path, json=body, headers=header)).json()["account_id"] == "default"
    named = {**body, "account_id": "other"}
    assert (await both.post(path, json=named, headers=header)).json()["account_id"] == "other"
    refused = await both.post(path, json={**body, "account_id": "third"})
    assert refused.status_code == 403
    assert (await both.get(path)).json()["total_item_count"] == 4


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_list_covers_all_accounts_of_the_key_unless_one_is_named(both: httpx.AsyncClient, family: str) -> None:
    path, body = f"/v4/{family}", FAMILIES[family]
    made = [
        (await both.post(path, json={**body, "account_id": account_id})).json()["id"]
        for account_id in ("other", "default", "other")
    ]

    async def listed(query: str = "", **headers: str) -> list[str]:
        return [each["id"] for each in (await both.get(path + query, headers=headers)).json()["items"]]

    assert await listed() == made[::-1]
    assert await listed("?account_id=") == made[::-1]
    assert await listed("?account_id=default") == [made[1]]
    assert await listed(**{"x-selected-account-id": "default"}) == [made[1]]
    assert await listed("?account_id=other", **{"x-selected-account-id": "default"}) == [made[2], made[0]]
    assert (await both.get(f"{path}?account_id=third")).status_code == 403


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_thing_is_found_by_its_id_in_any_account_of_the_key_and_nowhere_else(
    storage: Storage, both: httpx.AsyncClient, family: str
) -> None:
    path, body = f"/v4/{family}", FAMILIES[family]
    in_default = (await both.post(path, json={**body, "account_id": "default"})).json()
    in_other = (await both.post(path, json={**body, "account_id": "other"})).json()
    assert (await both.get(f"{path}/{in_default['id']}")).json().items() >= in_default.items()
    async with served_v4(storage) as served:
        assert (await served.raw.get(path)).json()["items"] == [in_default]
        calls = [("GET", None), ("PATCH", {"name": "mine now"}), ("DELETE", None)]
        for method, sent in calls[: 1 if family == "questions" else None]:
            answer = await served.raw.request(method, f"{path}/{in_other['id']}", json=sent)
            assert answer.status_code == 404
    assert (await both.get(f"{path}/{in_other['id']}")).json().items() >= in_other.items()


async def test_a_set_takes_questions_of_its_own_account_only_even_when_the_key_has_both(
    both: httpx.AsyncClient,
) -> None:
    question = (await both.post("/v4/questions", json={**FAMILIES["questions"], "account_id": "default"})).json()
    body = {"name": "s", "question_ids": [question["id"]]}
    assert (await both.post("/v4/question-sets", json={**body, "account_id": "other"})).status_code == 404
    assert (await both.post("/v4/question-sets", json={**body, "account_id": "default"})).status_code == 200


def official(both: httpx.AsyncClient) -> AsyncSGPClient:
    return AsyncSGPClient(
        api_key=both.headers["x-api-key"],
        base_url="http://assay.test/public",
        max_retries=0,
        http_client=both,
        _strict_response_validation=True,
    )


async def test_user_info_lists_the_keys_accounts_its_default_first(both: httpx.AsyncClient) -> None:
    info = await official(both).users.info()
    assert (info.id, info.email) == ("ann@example.com", "ann@example.com")
    assert [(each.account.id, each.account.status, each.role) for each in info.access_profiles] == [
        ("other", "active", "admin"),
        ("default", "active", "admin"),
    ]
    assert {(each.identity.id, each.identity.type) for each in info.access_profiles} == {("ann@example.com", "user")}
    assert len({each.id for each in info.access_profiles}) == 2
    again = await official(both).users.info(extra_headers={"x-selected-account-id": "default"})
    assert again == info


async def test_a_user_shows_the_accounts_that_both_have(storage: Storage, both: httpx.AsyncClient) -> None:
    access = Access(storage, SystemClock())
    await access.create_key("bob", account_ids=["third", "other"], identity=Identity("bob", "user"))
    await access.create_key("eve", account_ids=["third"], identity=Identity("eve", "user"))
    gone, _ = await access.create_key("old", account_ids=["other"], identity=Identity("old", "user"))
    await access.revoke_key(gone.id)
    bob = await official(both).users.retrieve("bob")
    assert (bob.id, bob.email, [each.account.id for each in bob.access_profiles]) == ("bob", "", ["other"])
    for unknown in ("eve", "old", "nobody"):
        assert (await both.get(f"/users/{unknown}")).status_code == 404


async def test_a_new_account_is_open_to_the_key_that_made_it_and_to_no_other(
    storage: Storage, both: httpx.AsyncClient
) -> None:
    made = await official(both).accounts.create(account_name="lab")
    info = await official(both).users.info()
    assert [each.account.id for each in info.access_profiles] == ["other", "default", made.account_id]
    assert info.access_profiles[-1].account.name == "lab"
    body = {**FAMILIES["questions"], "account_id": made.account_id}
    assert (await both.post("/v4/questions", json=body)).json()["account_id"] == made.account_id
    async with served_v4(storage) as served:
        assert (await served.raw.post("/v4/questions", json=body)).status_code == 403
        assert (await served.raw.get("/v4/questions")).json()["total_item_count"] == 0
    assert (await both.post("/accounts", json={})).status_code == 422


async def test_users_and_accounts_need_a_key(both: httpx.AsyncClient) -> None:
    del both.headers["x-api-key"]
    for method, path in (("GET", "/user-info"), ("GET", "/users/x"), ("POST", "/accounts"), ("GET", "/v4/questions")):
        assert (await both.request(method, path, json={"account_name": "x"})).status_code == 401
