"""Evaluation configs, through the official client in its strict mode."""

from typing import Any

import pytest
from scale_gp import NotFoundError

from tests.api.v4.served import ServedV4, faults


@pytest.fixture
async def question_set_id(v4: ServedV4) -> str:
    made = await v4.official.question_sets.create(account_id="default", name="s", question_ids=[])
    return made.id


async def a_config(v4: ServedV4, question_set_id: str, **fields: Any) -> Any:
    return await v4.official.evaluation_configs.create(
        **{"account_id": "default", "question_set_id": question_set_id, **fields}
    )


@pytest.mark.parametrize(
    ("sent", "kind", "model"),
    [
        ({}, "human", None),
        ({"auto_evaluation_model": "gpt-4o-mini"}, "llm_auto", "gpt-4o-mini"),
        ({"evaluation_type": "llm_auto"}, "llm_auto", "gpt-4o"),
        ({"evaluation_type": "llm_benchmark"}, "llm_benchmark", "gpt-4o"),
        ({"evaluation_type": "llm_benchmark", "auto_evaluation_model": "o3"}, "llm_benchmark", "o3"),
        ({"evaluation_type": "human", "auto_evaluation_model": None}, "human", None),
        ({"evaluation_type": "studio", "studio_project_id": "p"}, "studio", None),
    ],
)
async def test_a_config_says_who_answers(
    v4: ServedV4, question_set_id: str, sent: dict[str, Any], kind: str, model: str | None
) -> None:
    made = await a_config(v4, question_set_id, **sent)
    assert (made.evaluation_type, made.auto_evaluation_model) == (kind, model)
    assert (made.question_set_id, made.studio_project_id) == (question_set_id, sent.get("studio_project_id"))
    assert (made.auto_evaluation_parameters, made.created_by_identity_type) == (None, "service_account")
    assert await v4.official.evaluation_configs.retrieve(made.id) == made


@pytest.mark.parametrize("parameters", [{}, {"temperature": 1}, {"temperature": 0.5, "batch_size": 13}])
async def test_the_judges_parameters_come_back_as_given(
    v4: ServedV4, question_set_id: str, parameters: dict[str, Any]
) -> None:
    made = await a_config(v4, question_set_id, auto_evaluation_parameters=parameters)
    assert made.auto_evaluation_parameters.to_dict() == parameters


async def test_any_model_may_be_named(v4: ServedV4, question_set_id: str) -> None:
    body = {"question_set_id": question_set_id, "auto_evaluation_model": "fake/echo"}
    made = (await v4.raw.post("/v4/evaluation-configs", json=body)).json()
    assert (made["evaluation_type"], made["auto_evaluation_model"]) == ("llm_auto", "fake/echo")


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({"evaluation_type": "human", "auto_evaluation_model": "gpt-4o"}, ["auto_evaluation_model"]),
        ({"evaluation_type": "studio", "auto_evaluation_model": "gpt-4o"}, ["auto_evaluation_model"]),
        ({"evaluation_type": "studio"}, ["studio_project_id"]),
        ({"evaluation_type": "robots"}, ["evaluation_type"]),
        ({"auto_evaluation_model": ""}, ["auto_evaluation_model"]),
        ({"auto_evaluation_parameters": {"temperature": 2.5}}, ["auto_evaluation_parameters", "temperature"]),
        ({"auto_evaluation_parameters": {"batch_size": 0}}, ["auto_evaluation_parameters", "batch_size"]),
        ({"question_set_id": None}, ["question_set_id"]),
    ],
)
async def test_a_bad_config_is_422_at_its_place(
    v4: ServedV4, question_set_id: str, sent: dict[str, Any], place: list[Any]
) -> None:
    body = {"question_set_id": question_set_id, **sent}
    assert faults(await v4.raw.post("/v4/evaluation-configs", json=body)) == [["body", *place]]
    assert (await v4.raw.get("/v4/evaluation-configs")).json()["total_item_count"] == 0


async def test_a_config_needs_an_unarchived_set_of_its_own_account(v4: ServedV4, question_set_id: str) -> None:
    theirs = (await v4.stranger.post("/v4/question-sets", json={"name": "s", "question_ids": []})).json()["id"]
    for unknown in (theirs, "nobody's"):
        with pytest.raises(NotFoundError):
            await a_config(v4, unknown)
    await v4.official.question_sets.delete(question_set_id)
    answer = await v4.raw.post("/v4/evaluation-configs", json={"question_set_id": question_set_id})
    assert answer.status_code == 400


async def test_a_deleted_config_is_hidden_and_its_id_keeps_its_meaning(v4: ServedV4, question_set_id: str) -> None:
    old, gone, new = [(await a_config(v4, question_set_id)).id for _ in range(3)]
    assert (await v4.official.evaluation_configs.delete(gone)).count == 1
    assert (await v4.official.evaluation_configs.delete(gone)).count == 0
    assert [each.id async for each in v4.official.evaluation_configs.list(limit=1)] == [new, old]
    assert (await v4.official.evaluation_configs.retrieve(gone)).id == gone
    for call in (v4.official.evaluation_configs.delete, v4.official.evaluation_configs.retrieve):
        with pytest.raises(NotFoundError):
            await call("nobody's")


async def test_a_config_cannot_be_changed(v4: ServedV4, question_set_id: str) -> None:
    made = await a_config(v4, question_set_id)
    answer = await v4.raw.patch(f"/v4/evaluation-configs/{made.id}", json={"evaluation_type": "llm_auto"})
    assert answer.status_code == 405
