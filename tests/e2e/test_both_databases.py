"""The same requests to a server on SQLite and to one on PostgreSQL: the same answers, to the letter."""

import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from assay.core.application_evaluations import SORT_KEYS
from tests.builders.wire import standalone
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ServerProcess, running_server

HOSTILE = [
    "'; DROP TABLE evaluations; --",
    '"',
    "%",
    "a_b",
    "é",
    "é",
    "Straße",
    "\\",
    "😀",
    "\ue000",
    "a.b",
    "$[0]",
    "Z",
    "a",
]
VALUES = [
    None,
    True,
    False,
    0,
    1,
    1.0,
    10,
    -2,
    0.1,
    2**63 - 1,
    "1",
    "1.0",
    "007",
    "true",
    "",
    "2026-01-02",
    "2026-02-30",
]
OPERATORS = ["==", "!=", ">=", "<=", "IN", "NOT_IN"]
VIEWS = "ApplicationSpec,AsyncJobs,EvaluationConfig,EvaluationDatasets"

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Conversation:
    """Requests to one server, and what it answered with ids by their first appearance and without times."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._known: dict[str, str] = {}
        self.answers: list[tuple[str, int, str]] = []

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One request; the JSON of its answer."""
        content = None if body is None else json.dumps(body).encode()
        answer = self._http.request(
            method, path, content=content, params=query, headers={"content-type": "application/json"}
        )
        assert answer.status_code < 500 or answer.status_code == 501, answer.text
        named = f"{method} {path} {query} {body}"
        self.answers.append((self._told(named), answer.status_code, self._told(answer.text)))
        return answer.json()

    def _told(self, text: str) -> str:
        known = self._known
        return _TIME.sub("<time>", _ID.sub(lambda found: known.setdefault(found[0], f"<{len(known)}>"), text))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """A server on each database."""
    with (
        running_server(tmp_path_factory.mktemp("sqlite") / "data") as one,
        running_server(tmp_path_factory.mktemp("postgres") / "data", ASSAY_DATABASE_URL=fresh_database()) as other,
    ):
        yield [one, other]
        assert "Traceback" not in one.log + other.log, (one.log + other.log)[-6000:]


def the_same(servers: list[ServerProcess], talk: Callable[[Conversation], None]) -> list[tuple[str, int, str]]:
    """Talk to both servers; what both answered."""
    both = []
    for server in servers:
        with httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}, trust_env=False) as http:
            both.append(Conversation(http))
            talk(both[-1])
    for one, other in zip(both[0].answers, both[1].answers, strict=True):
        assert one == other
    return both[0].answers


def an_evaluation(to: Conversation, **more: Any) -> str:
    return str(to.ask("POST", "/v5/evaluations", standalone([{"q": "a", "r": "b"}], **more))["id"])


def test_lists_and_filters_answer_the_same(servers: list[ServerProcess]) -> None:
    def talk(to: Conversation) -> None:
        chance = random.Random(3)
        for number in range(60):
            pool: list[Any] = [*VALUES, *HOSTILE]
            metadata = {chance.choice(HOSTILE): chance.choice(pool) for _ in range(chance.randrange(6))}
            metadata["deep"] = {"er": chance.choice(pool), "x.y": [chance.choice(pool)]}
            tags = chance.sample(["a", "A", "Straße", "STRASSE", "é"], chance.randrange(3))
            name = f"{chance.choice(HOSTILE)} {number % 7}"
            made = an_evaluation(to, name=name, metadata=metadata if number % 9 else None, tags=tags)
            if number % 11 == 0:
                to.ask("DELETE", f"/v5/evaluations/{made}")
        for order, key in itertools.product(("asc", "desc"), ("created_at", "name", "status", "error_count")):
            page = to.ask("GET", "/v5/evaluations", sort_order=order, sort_by=key, limit=7)
            after = {"starting_after": page["items"][-1]["id"], "sort_order": order, "sort_by": key, "limit": 9}
            page = to.ask("GET", "/v5/evaluations", include_archived=True, **after)
            to.ask("GET", "/v5/evaluations", ending_before=page["items"][4]["id"], sort_order=order, sort_by=key)
        for word in [*HOSTILE, "STRASSE", "É", "%%", "A_B"]:
            to.ask("GET", "/v5/evaluations", name=word, limit=3)
            to.ask("GET", "/v5/evaluations", tags=word, limit=3)
        keys = [*HOSTILE, "deep.er", "deep.x.y", "deep", "status", "tag", "nothing"]
        for key, operator in itertools.product(keys, OPERATORS):
            for value in chance.sample([*VALUES, *HOSTILE, "[1]", "[", "a,1,true", '["a", 1, null]', "running"], 4):
                asked = {"filters": [{"key": key, "operator": operator, "value": value}]}
                to.ask("POST", "/v5/evaluations/filter", asked, limit=5, include_archived=chance.random() < 0.5)
        to.ask("GET", "/v5/evaluations/metadata-keys")
        to.ask("GET", "/v5/evaluations/metadata-keys", include_archived=True)

    answers = the_same(servers, talk)
    assert sum('"total":0' not in answer for _, _, answer in answers) > 300


def test_groups_answer_the_same(servers: list[ServerProcess]) -> None:
    def talk(to: Conversation) -> None:
        ids = [an_evaluation(to, name=f"member {number}", metadata={"n": number}) for number in range(4)]
        ids.append(str(to.ask("POST", "/v5/evaluations", standalone([{"q": "a", "r": "a"}]))["id"]))
        groups = []
        for number, word in enumerate(HOSTILE):
            body = {
                "name": f"{word} {number}",
                "evaluation_ids": ids[number % 4 :],
                "tags": ["a", "Straße"][: number % 3],
            }
            body |= {"metadata": {word: word}, "row_identifiers": {ids[3]: word}, "description": word}
            groups.append(to.ask("POST", "/v5/evaluation-groups", body)["id"])
        one = f"/v5/evaluation-groups/{groups[0]}"
        to.ask("PATCH", one, {"metadata": {"x": None, "y": {"z": 1}}, "row_identifiers": {ids[2]: "q", "nobody": "r"}})
        to.ask("PATCH", one, {"description": None, "tags": None})
        to.ask("PUT", one, {"evaluation_ids": [ids[3], ids[0]]})
        to.ask("PUT", one, {"name": "put", "row_identifiers": {}})
        for bad in ({}, {"evaluation_ids": ids}, {"name": None}, {"metadata": 1}, {"name": "x" * 129}):
            to.ask("PATCH", one, bad)
        for bad_ids in ([], ["nobody"], [ids[0], ids[0]]):
            to.ask("PUT", one, {"evaluation_ids": bad_ids})
            to.ask("POST", "/v5/evaluation-groups", {"name": "x", "evaluation_ids": bad_ids})
        to.ask("GET", f"{one}/schema")
        to.ask("DELETE", f"/v5/evaluation-groups/{groups[1]}")
        to.ask("DELETE", f"/v5/evaluations/{ids[1]}")
        for path in (f"/v5/evaluation-groups/{groups[1]}", one):
            to.ask("GET", path)
            to.ask("GET", path, include_deleted=True)
        for query in (
            *({"name": word} for word in [*HOSTILE, "STRASSE", "É"]),
            *({"tags": tags} for tags in ("a", "A,straße", "nothing", "")),
            *({"evaluation_id": each, "include_deleted": True} for each in ids),
            *({"sort_by": key, "sort_order": order} for key in ("name", "id") for order in ("asc", "desc")),
            *({"starting_after": groups[place], "views": "members,row_identifiers"} for place in (0, 1, 9)),
            *({"ending_before": groups[place], "sort_order": "desc"} for place in (0, 1, 9)),
        ):
            to.ask("GET", "/v5/evaluation-groups", limit=3, **query)

    statuses = [status for _, status, _ in the_same(servers, talk)]
    assert statuses.count(200) > 60


def test_version_4_answers_the_same(servers: list[ServerProcess]) -> None:
    def talk(to: Conversation) -> None:
        chance = random.Random(5)
        mine = {"account_id": "default"}
        specs = [to.ask("POST", "/v4/application-specs", {**mine, "name": n, "description": ""})["id"] for n in "bÉaZ"]
        variant = {**mine, "version": "OFFLINE", "configuration": {}}
        variants = [
            to.ask("POST", "/v4/application-variants", {**variant, "application_spec_id": spec, "name": name})["id"]
            for spec, name in zip(specs, ["zv", "Yv", "_", "é"], strict=True)
        ]
        asked = {**mine, "type": "free_text", "title": "t", "prompt": "p"}
        question = to.ask("POST", "/v4/questions", asked)["id"]
        made_set = to.ask("POST", "/v4/question-sets", {**mine, "name": "s", "question_ids": [question]})["id"]
        config = to.ask(
            "POST", "/v4/evaluation-configs", {**mine, "question_set_id": made_set, "evaluation_type": "human"}
        )
        dataset = to.ask("POST", "/v4/evaluation-datasets", {**mine, "name": "d", "schema_type": "FLEXIBLE"})["id"]
        place = f"/v4/evaluation-datasets/{dataset}"
        case = to.ask("POST", f"{place}/test-cases", {"test_case_data": {"input": {"a": [1, None]}}})["id"]
        to.ask("POST", f"{place}/publish")
        layouts = [{"annotation_config_type": kind} for kind in ("generation", "flexible")]
        for number in range(40):
            which = chance.randrange(4)
            body = {**mine, "application_spec_id": specs[which], "name": chance.choice(HOSTILE), "description": ""}
            extras = {
                "application_variant_id": variants[which],
                "tags": chance.choice([None, {}, {"a": 1}, {"é": "😀"}, {"é": "\ue000"}, {"b": [1, {"c": None}]}]),
                "evaluation_config": {"k": chance.choice(VALUES)},
                "evaluation_config_id": config["id"],
                "evaluation_dataset_id": dataset,
                "annotation_config": chance.choice(layouts),
                "metric_config": {"components": [{"type": "bleu", "name": chance.choice("ab")}]},
            }
            body |= {key: value for key, value in extras.items() if chance.random() < 0.4}
            body["type"] = "default"  # a builder's job ends when it ends, and so would the answers differ
            path = f"/v4/evaluations/{to.ask('POST', '/v4/evaluations', body)['id']}"
            result = {"application_spec_id": specs[which], "evaluation_dataset_version_num": "1", "test_case_id": case}
            for _ in range(0 if "metric_config" in body else chance.randrange(3)):
                output = {"test_case_evaluation_data": {"generation_output": "o"}}
                posted = to.ask("POST", f"{path}/test-case-results", {**result, **output})
                change = chance.choice([{"label_status": "FAILED"}, {"result": {question: "yes"}}, {}])
                to.ask("PATCH", f"{path}/test-case-results/{posted['id']}", change)
            if number % 10 == 0:
                to.ask("DELETE", path)
        tokens = [f"{key}:{direction}" for key in SORT_KEYS for direction in ("asc", "desc")]
        combinations = [[token] for token in tokens] + [chance.sample(tokens, 3) for _ in range(30)]
        for page, sort_by in enumerate(combinations):
            to.ask(
                "GET", "/v4/evaluations", sort_by=",".join(sort_by), limit=9, page=page % 6 + 1, include_archived=True
            )
        to.ask("GET", "/v4/evaluations", view=VIEWS + ",TestCaseResults")
        for spec in specs:
            to.ask("GET", "/v4/evaluations", application_spec_id=spec, limit=2, page=2)
        to.ask("DELETE", place)
        for family in ("questions", "question-sets", "evaluation-configs", "evaluation-datasets", "application-specs"):
            to.ask("GET", f"/v4/{family}", limit=3)
            to.ask("GET", f"/v4/{family}", page=3)

    statuses = [status for _, status, _ in the_same(servers, talk)]
    assert statuses.count(200) > 150
