"""The contract of the storage port, on SQLite and PostgreSQL: registered models."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.adapters.clock import SystemClock
from assay.adapters.models import HttpInference, HttpModels
from assay.adapters.storage import SqlStorage
from assay.core.errors import InvalidCursor
from assay.core.identity import Caller
from assay.core.paging import PageRequest
from assay.core.registered_models import ModelType, RegisteredModel
from assay.services.registered_models import NewModel, RegisteredModels
from assay.settings import VendorSettings
from tests.builders.identity import ALICE, NOW, new_id


def make_model(name: str = "m", **changes: Any) -> RegisteredModel:
    """A chat model of the default account at the vendor `openai`."""
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": "default",
        "vendor": "openai",
        "name": name,
        "type": ModelType.CHAT_COMPLETION,
        "created_at": NOW,
        "created_by": ALICE,
    }
    return RegisteredModel(**{**defaults, **changes})


async def add(storage: SqlStorage, *models: RegisteredModel) -> list[RegisteredModel]:
    async with storage.write() as work:
        return [await work.registered_models.add(model) for model in models]


async def test_a_model_comes_back_as_it_was_stored_and_saved_and_is_gone_when_it_is_deleted(
    storage: SqlStorage,
) -> None:
    (model,) = await add(storage, make_model("org/Ü", metadata={"n": [1, None]}, type=ModelType.GENERIC))
    async with storage.write() as work:
        assert await work.registered_models.get("default", model.id) == model
        assert await work.registered_models.named("default", "openai", "org/Ü") == model
        assert await work.registered_models.get("other", model.id) is None
        assert await work.registered_models.named("other", "openai", "org/Ü") is None
        assert await work.registered_models.named("default", "anthropic", "org/Ü") is None
        changed = replace(model, name="new", metadata=None, type=ModelType.COMPLETION)
        await work.registered_models.save(changed)
    async with storage.write() as work:
        assert await work.registered_models.get("default", model.id) == changed
        await work.registered_models.delete(model.id)
    async with storage.read() as work:
        assert await work.registered_models.get("default", model.id) is None


async def test_models_are_listed_by_part_of_the_name_and_by_vendor_and_page_both_ways(storage: SqlStorage) -> None:
    first, second, third, _ = await add(
        storage,
        make_model("Large-B"),
        make_model("large-a", vendor="anthropic", created_at=NOW - timedelta(seconds=1)),
        make_model("small"),
        make_model("large", account_id="other"),
    )
    async with storage.read() as work:
        models = work.registered_models
        assert (await models.list("default", PageRequest())).items == [second, first, third]
        assert (await models.list("default", PageRequest(), name="LARGE")).items == [second, first]
        assert (await models.list("default", PageRequest(sort_by="name"), name="%")).items == []
        page = await models.list("default", PageRequest(1, starting_after=second.id), vendor="openai")
        assert (page.items, page.total, page.has_more) == ([first], 2, True)
        assert (await models.list("default", PageRequest(1, ending_before=third.id))).items == [first]
        assert await models.every("default") == [first, second, third]
        assert await models.every("default", "anthropic") == [second]
        with pytest.raises(InvalidCursor):
            await models.list("other", PageRequest(starting_after=first.id))


async def test_two_models_exchange_their_names(storage: SqlStorage) -> None:
    one, other = await add(storage, make_model("one"), make_model("other"))
    async with storage.write() as work:
        await work.registered_models.swap_names(one, other)
    async with storage.read() as work:
        assert await work.registered_models.named("default", "openai", "other") == replace(one, name="other")
        assert await work.registered_models.named("default", "openai", "one") == replace(other, name="one")


async def test_many_at_once_register_or_take_a_name_once(storage: SqlStorage) -> None:
    models = HttpModels({"openai": VendorSettings(base_url="http://127.0.0.1:9/v1")}, {})
    registered = RegisteredModels(storage, SystemClock(), HttpInference(models.calls))
    caller = Caller("default", ALICE)

    async def outcomes(calls: list[Coroutine[Any, Any, RegisteredModel]]) -> list[str]:
        found = await asyncio.gather(*calls, return_exceptions=True)
        return sorted(type(each).__name__ for each in found)

    new = NewModel("openai", "wanted", ModelType.GENERIC)
    made = await outcomes([registered.create(caller, new) for _ in range(6)])
    assert made == ["Conflict"] * 5 + ["RegisteredModel"]
    others = await add(storage, *(make_model(f"m{n}") for n in range(6)))
    renamed = await outcomes([registered.update(caller, each.id, {"name": "next"}) for each in others])
    assert renamed == ["Conflict"] * 5 + ["RegisteredModel"]
    for _ in range(5):
        around = zip(others, [*others[1:], others[0]], strict=True)
        swaps = [registered.update(caller, one.id, {"name": other.name}, swap=True) for one, other in around]
        assert await outcomes(swaps) == ["RegisteredModel"] * 6
    page = await registered.list(caller, PageRequest(), vendor="openai")
    assert len({each.name for each in page.items}) == 7
