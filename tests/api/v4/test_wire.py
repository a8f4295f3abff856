"""What all of version 4's routes share on the wire: bodies, lists, the document, and what is left out."""

from typing import Any

import pytest
from pydantic import BaseModel

from assay.api.v4.schemas import applications, evaluation_configs, people, questions
from assay.api.v4.schemas.entities import Numbered
from tests.api.v4.served import ServedV4, faults

JSON = {"content-type": "application/json"}


async def one_of_each(v4: ServedV4) -> dict[str, dict[str, Any]]:
    """Something in every family, by its path."""
    made: dict[str, dict[str, Any]] = {}

    async def make(path: str, **body: Any) -> str:
        made[path] = (await v4.raw.post(path, json=body)).json()
        return str(made[path]["id"])

    spec = await make("/v4/application-specs", name="x", description="")
    await make("/v4/application-variants", name="x", application_spec_id=spec, version="OFFLINE", configuration={})
    choices = [{"label": "a", "value": True}]
    question = await make("/v4/questions", title="t", prompt="p", type="categorical", choices=choices, default=[1])
    question_set = await make("/v4/question-sets", name="x", question_ids=[question])
    await make("/v4/evaluation-configs", question_set_id=question_set, auto_evaluation_parameters={"batch_size": 1})
    return made


MODELS: dict[str, type[BaseModel]] = {
    "/v4/application-specs": applications.ApplicationSpec,
    "/v4/application-variants": applications.ApplicationVariant,
    "/v4/questions": questions.V4Question,
    "/v4/question-sets": questions.QuestionSet,
    "/v4/evaluation-configs": evaluation_configs.EvaluationConfig,
}


def exactly(model: type[BaseModel], shown: dict[str, Any]) -> None:
    """Assert that an answer is of the documented model and has no key beside it."""
    model.model_validate(shown, strict=False)
    assert set(shown) == {field.alias or name for name, field in model.model_fields.items()}


async def test_answers_are_what_the_document_says(v4: ServedV4) -> None:
    for path, made in (await one_of_each(v4)).items():
        exactly(MODELS[path], made)
        page = (await v4.raw.get(path)).json()
        Numbered[MODELS[path]].model_validate(page)  # type: ignore[misc]
        assert page["items"][0].items() >= made.items()
    exactly(people.UserInfo, (await v4.raw.get("/user-info")).json())
    found = (await v4.raw.get(f"/v4/question-sets/{made['question_set_id']}")).json()
    exactly(questions.QuestionSetWithQuestions, found)
    exactly(questions.V4Question, found["questions"][0])


async def test_the_document_names_every_body_and_every_page(v4: ServedV4) -> None:
    document = (await v4.raw.get("/openapi.json")).json()
    create = document["paths"]["/v4/questions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert create == {"$ref": "#/components/schemas/CreateQuestion"}
    assert "ratingOptions" in document["components"]["schemas"]["CreateQuestion"]["properties"]
    parameters = document["paths"]["/v4/question-sets"]["get"]["parameters"]
    shown = {each["name"] for each in parameters}
    assert shown == {"account_id", "include_archived", "limit", "page", "view", "x-selected-account-id"}


async def test_a_delete_may_say_json_and_have_no_body(v4: ServedV4) -> None:
    for path, made in (await one_of_each(v4)).items():
        if path == "/v4/questions":
            continue
        answer = await v4.raw.delete(f"{path}/{made['id']}", headers=JSON)
        assert (answer.status_code, answer.text) == (200, '{"success":true,"count":1}')


async def test_an_empty_patch_changes_nothing_whether_it_is_an_object_or_no_bytes(v4: ServedV4) -> None:
    made = (await one_of_each(v4))["/v4/application-specs"]
    for content in (b"", b"{}", b'{"unknown": [1]}', b'{"restore": false}', b'{"restore": null}'):
        answer = await v4.raw.patch(f"/v4/application-specs/{made['id']}", content=content, headers=JSON)
        assert (answer.status_code, answer.json()) == (200, made)


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b"{", b'{"name": NaN}'])
async def test_a_body_that_is_no_object_is_422(v4: ServedV4, content: bytes) -> None:
    assert faults(await v4.raw.post("/v4/application-specs", content=content, headers=JSON)) == [["body"]]


async def test_a_post_without_a_body_says_what_is_missing(v4: ServedV4) -> None:
    answer = await v4.raw.post("/v4/application-specs", content=b"", headers=JSON)
    assert faults(answer) == [["body", "name"], ["body", "description"]]


async def test_the_public_prefix_and_percent_encoded_ids_work(v4: ServedV4) -> None:
    made = (await one_of_each(v4))["/v4/questions"]
    assert (await v4.raw.get(f"/public/v4/questions/{made['id']}")).json() == made
    answer = await v4.raw.get("/v4/questions/a%20c%3Fd")
    assert (answer.status_code, answer.json()["detail"]) == (404, "question not found: a c?d")


@pytest.mark.parametrize(
    "path",
    [
        "/v4/themes",
        "/v4/chat-completions",
        "/v4/knowledge-bases/x/chunks",
        "/v4/models/x/deployments/y/execute",
        "/v4/models/x/chat-completions",
    ],
)
async def test_families_that_are_left_out_are_501_and_never_repeated(v4: ServedV4, path: str) -> None:
    for prefix in ("", "/public"):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            answer = await v4.raw.request(method, prefix + path)
            assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")
            assert answer.json()["code"] == "not_offered"


async def test_a_path_that_never_was_is_404(v4: ServedV4) -> None:
    assert (await v4.raw.get("/v4/nonsense")).status_code == 404
    assert (await v4.raw.get("/v4/questions/x/nonsense")).status_code == 404


async def test_a_call_that_never_was_is_405_and_names_those_that_are(v4: ServedV4) -> None:
    answer = await v4.raw.patch("/v4/questions/x", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
