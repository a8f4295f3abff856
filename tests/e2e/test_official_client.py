"""Evaluations, items, exports and groups through the vendor's own client, unmodified, against a real server."""

import csv
import io
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from scale_gp_beta import (
    APIStatusError,
    AsyncSGPClient,
    BadRequestError,
    NotFoundError,
    SGPClient,
    UnprocessableEntityError,
)

from tests.builders.wire import chat, finished, function, metric, run, standalone
from tests.fakes.server_process import ServerProcess

ROWS = [{"question": f"What is {n} plus {n}?", "expected": f"What is {n} plus {n}?", "n": n} for n in range(5)]


def unique(word: str) -> str:
    return f"{word} {uuid.uuid4().hex[:8]}"


def test_an_evaluation_runs_from_rows_to_results(strict: SGPClient) -> None:
    name = unique("end to end")

    created = strict.evaluations.create(
        evaluation={
            "name": name,
            "description": "five sums",
            "tags": ["Sums", "e2e"],
            "data": ROWS,
            "tasks": [chat(alias="answer"), metric("exact_match", "answer", "expected")],  # type: ignore[list-item]
        }
    )

    assert created.object == "evaluation"
    assert created.status == "running"
    assert created.datasets == []
    assert created.created_by.object == "identity"
    assert created.archived_at is None
    assert created.error_count == 0
    assert abs((datetime.now(UTC) - created.created_at).total_seconds()) < 30
    done = finished(strict, created.id)
    assert done.status == "completed"
    assert (done.name, done.description, done.tags) == (name, "five sums", ["Sums", "e2e"])
    assert done.metadata is None
    assert done.progress is not None
    assert done.progress.items is not None
    counters = done.progress.items
    assert (counters.total, counters.successful, counters.failed, counters.pending) == (5, 5, 0, 0)
    assert counters.failed_items == []
    items = list(strict.evaluation_items.list(evaluation_id=created.id))
    assert [item.data["n"] for item in items] == [0, 1, 2, 3, 4]
    for item, row in zip(items, ROWS, strict=True):
        assert item.data == {**row, "answer": row["question"], "exact_match": 1}
        assert item.task_result_statuses == {"answer": "completed", "exact_match": "completed"}
        assert not item.task_errors
        assert item.object == "evaluation.item"
        assert item.evaluation_id == created.id
        assert item.dataset_item_id is None
        assert strict.evaluation_items.retrieve(item.id).data == item.data


async def test_the_async_client_does_the_same(server: ServerProcess) -> None:
    import asyncio

    async with AsyncSGPClient(
        api_key=server.api_key,
        account_id="default",
        base_url=server.base_url,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        body: Any = standalone(ROWS, chat(alias="answer"), metric("f1", "answer", "expected"))
        created = await client.evaluations.create(evaluation=body)
        while (done := await client.evaluations.retrieve(created.id)).status == "running":
            await asyncio.sleep(0.02)
        items = [item async for item in client.evaluation_items.list(evaluation_id=created.id, limit=2)]
        found = [one.id async for one in client.evaluations.list(limit=3, name="an evaluation")]

    assert done.status == "completed"
    assert [item.data["f1"] for item in items] == [1.0] * 5
    assert created.id in found


def test_an_evaluation_without_tasks_is_completed_at_once(strict: SGPClient) -> None:
    created = strict.evaluations.create(evaluation={"name": "rows only", "data": [{"a": 1}, {"b": 2}]})

    assert created.status == "completed"
    items = list(strict.evaluation_items.list(evaluation_id=created.id))
    assert [item.data for item in items] == [{"a": 1}, {"b": 2}]


def test_an_evaluation_from_a_dataset_has_an_item_for_each_row(strict: SGPClient) -> None:
    dataset = strict.datasets.create(name=unique("source"), data=[{"q": "a"}, {"q": "b"}])
    rows = list(strict.dataset_items.list(dataset_id=dataset.id))

    created = strict.evaluations.create(evaluation={"name": "from dataset", "dataset_id": dataset.id})

    items = list(strict.evaluation_items.list(evaluation_id=created.id))
    assert [item.data for item in items] == [{"q": "a"}, {"q": "b"}]
    assert [item.dataset_item_id for item in items] == [row.id for row in rows]
    assert [item.dataset_item_version_num for item in items] == [1, 1]
    assert created.datasets is not None
    assert [one.id for one in created.datasets] == [dataset.id]
    read = strict.evaluations.retrieve(created.id)
    assert read.datasets is not None
    assert read.datasets[0].object == "dataset"


def test_an_evaluation_of_chosen_dataset_rows_takes_further_columns(strict: SGPClient) -> None:
    dataset = strict.datasets.create(name=unique("chosen"), data=[{"q": "a"}, {"q": "b"}, {"q": "c"}])
    rows = list(strict.dataset_items.list(dataset_id=dataset.id))

    done, items = run(
        strict,
        {
            "name": "chosen rows",
            "dataset_id": dataset.id,
            "data": [
                {"dataset_item_id": rows[2].id, "output": "c"},
                {"dataset_item_id": rows[0].id, "output": "x"},
            ],
            "tasks": [metric("exact_match", "output", "q")],
        },
    )

    assert done.status == "completed"
    assert [item.data for item in items] == [
        {"q": "c", "output": "c", "exact_match": 1},
        {"q": "a", "output": "x", "exact_match": 0},
    ]
    assert [item.dataset_item_id for item in items] == [rows[2].id, rows[0].id]


def test_an_evaluation_can_make_a_dataset_of_some_of_its_columns(strict: SGPClient) -> None:
    created = strict.evaluations.create(
        evaluation={
            "name": "with dataset",
            "data": [{"q": "a", "output": "b"}, {"q": "c", "output": "d"}],
            "dataset": {"name": unique("made"), "keys": ["q"], "tags": ["made"], "description": "made by it"},
        }
    )

    assert created.datasets is not None
    dataset = strict.datasets.retrieve(created.datasets[0].id)
    assert (dataset.tags, dataset.description, dataset.current_version_num) == (["made"], "made by it", 1)
    rows = list(strict.dataset_items.list(dataset_id=dataset.id))
    assert [row.data for row in rows] == [{"q": "a"}, {"q": "c"}]
    items = list(strict.evaluation_items.list(evaluation_id=created.id))
    assert [item.data for item in items] == [{"q": "a", "output": "b"}, {"q": "c", "output": "d"}]
    assert [item.dataset_item_id for item in items] == [row.id for row in rows]
    assert {item.dataset_item_version_num for item in items} == {1}


@pytest.fixture(scope="module")
def listed(clients: Any) -> tuple[str, list[str]]:
    """A name shared by seven evaluations, and their ids in order."""
    name = unique("paged")
    ids = [
        clients.official.evaluations.create(
            evaluation={"name": f"{name} {place}", "data": [{"a": 1}], "tags": ["paged", f"t{place % 2}"]}
        ).id
        for place in range(7)
    ]
    return name, ids


def test_lists_go_forward_through_all_pages(strict: SGPClient, listed: tuple[str, list[str]]) -> None:
    name, ids = listed

    page = strict.evaluations.list(name=name, limit=3)

    assert (len(page.items), page.has_more, page.total, page.limit) == (3, True, 7, 3)  # type: ignore[attr-defined]
    assert page.object == "list"  # type: ignore[attr-defined]
    assert [found.id for found in page] == ids
    second = page.get_next_page()
    assert [found.id for found in second.items] == ids[3:6]
    assert second.has_more is True
    last = second.get_next_page()
    assert ([found.id for found in last.items], last.has_more) == (ids[6:], False)


def test_lists_go_backward_page_by_page_in_normal_order(strict: SGPClient, listed: tuple[str, list[str]]) -> None:
    name, ids = listed

    page = strict.evaluations.list(name=name, limit=2, ending_before=ids[5])

    assert [found.id for found in page.items] == ids[3:5]
    assert page.has_more is True
    assert [found.id for found in page] == [ids[3], ids[4], ids[1], ids[2], ids[0]]


def test_lists_sort_both_ways_and_by_name(strict: SGPClient, listed: tuple[str, list[str]]) -> None:
    name, ids = listed

    assert [one.id for one in strict.evaluations.list(name=name, sort_order="desc", limit=2)] == ids[::-1]
    by_name = strict.evaluations.list(name=name, sort_by="name", sort_order="desc", limit=4)
    assert [one.id for one in by_name] == ids[::-1]
    after = strict.evaluations.list(name=name, sort_order="desc", starting_after=ids[2])
    assert [one.id for one in after] == [ids[1], ids[0]]


def test_lists_filter_by_part_of_a_name_and_by_all_tags(strict: SGPClient, listed: tuple[str, list[str]]) -> None:
    name, ids = listed

    assert [one.id for one in strict.evaluations.list(name=name.upper(), tags=["PAGED", "T1"])] == ids[1::2]
    assert list(strict.evaluations.list(name=name, tags=["paged", "nobody has this"])) == []
    assert [one.id for one in strict.evaluations.list(name=name, tags=[])] == ids


def test_tasks_show_with_their_aliases_when_asked_for(strict: SGPClient) -> None:
    body: Any = standalone(ROWS[:1], chat(), metric("rougeL", "chat_completion", "expected"))
    created = strict.evaluations.create(evaluation=body)
    finished(strict, created.id)

    assert not strict.evaluations.retrieve(created.id).tasks
    shown = strict.evaluations.retrieve(created.id, views=["tasks"])
    assert shown.tasks is not None
    assert [(task.task_type, task.alias) for task in shown.tasks] == [
        ("chat_completion", "chat_completion"),
        ("metric", "rougeL"),
    ]
    assert type(shown.tasks[1]).__name__ == "MetricEvaluationTask"
    listed = next(iter(strict.evaluations.list(views=["tasks"], sort_order="desc", limit=1)))
    assert listed.tasks is not None
    assert len(listed.tasks) == 2


def test_an_update_changes_what_it_names_and_merges_metadata(client: SGPClient) -> None:
    # The client's strict mode takes no metadata at all: in its model a field hides the type `object`.
    created = client.evaluations.create(
        evaluation={
            "name": "before",
            "description": "kept",
            "tags": ["a"],
            "metadata": {"kept": 1, "gone": 2, "deep": {"x": 1, "y": 2}},
            "data": [{"a": 1}],
        }
    )

    renamed = client.evaluations.update(created.id, evaluation={"name": "after"})
    assert (renamed.name, renamed.description, renamed.tags) == ("after", "kept", ["a"])
    merged = client.evaluations.update(
        created.id, evaluation={"metadata": {"gone": None, "deep": {"y": None, "z": 3}}, "tags": ["b", "c"]}
    )
    assert merged.metadata == {"kept": 1, "deep": {"x": 1, "z": 3}}
    assert merged.tags == ["b", "c"]
    cleared = client.evaluations.update(created.id, evaluation={"description": None})  # type: ignore[typeddict-item]
    assert cleared.description is None
    assert client.evaluations.retrieve(created.id).name == "after"


def test_an_archived_evaluation_is_hidden_until_it_is_restored(strict: SGPClient) -> None:
    created = strict.evaluations.create(evaluation={"name": unique("archived"), "data": [{"a": 1}]})
    (item,) = strict.evaluation_items.list(evaluation_id=created.id)

    archived = strict.evaluations.archive(created.id)

    assert archived.archived_at is not None
    with pytest.raises(NotFoundError):
        strict.evaluations.retrieve(created.id)
    with pytest.raises(NotFoundError):
        strict.evaluations.archive(created.id)
    with pytest.raises(NotFoundError):
        strict.evaluation_items.retrieve(item.id)
    with pytest.raises(BadRequestError):
        strict.evaluations.update(created.id, evaluation={"name": "no"})
    assert strict.evaluations.retrieve(created.id, include_archived=True).archived_at == archived.archived_at
    assert created.id not in [one.id for one in strict.evaluations.list(name=created.name)]
    assert [one.id for one in strict.evaluations.list(name=created.name, include_archived=True)] == [created.id]

    restored = strict.evaluations.update(created.id, evaluation={"restore": True})

    assert restored.archived_at is None
    assert strict.evaluations.retrieve(created.id).archived_at is None
    assert strict.evaluation_items.retrieve(item.id).archived_at is None
    assert strict.evaluations.update(created.id, evaluation={"restore": True}).archived_at is None


def test_the_schema_tells_data_from_results(strict: SGPClient) -> None:
    from scale_gp_beta.lib.custom_function import get_evaluation_columns

    rows: list[dict[str, Any]] = [
        {"text": "a", "meta": {"lang": "en", "n": 1}, "list": [1]},
        {"text": "a", "meta": {"n": 2}, "flag": True, "none": None},
    ]
    done, _ = run(strict, standalone(rows, metric("exact_match", "text", "text")))

    schema = strict.evaluations.retrieve_schema(done.id)

    assert schema.object == "evaluation_schema"
    assert schema.evaluation_id == done.id
    assert schema.total_items == 2
    found = {field.field_name: (field.data_type, field.item_count, field.source) for field in schema.fields}
    assert found == {
        "exact_match": ("number", 2, "task_result_cache"),
        "flag": ("boolean", 1, "data"),
        "list": ("array", 1, "data"),
        "meta.lang": ("string", 1, "data"),
        "meta.n": ("number", 2, "data"),
        "none": ("null", 1, "data"),
        "text": ("string", 2, "data"),
    }
    assert [field.field_name for field in schema.fields] == sorted(found)
    assert "exact_match" not in [column.field_name for column in get_evaluation_columns(strict, done.id)]


def test_a_taxonomy_is_given_back_as_it_was_sent(strict: SGPClient) -> None:
    document = {"levels": [{"name": "x", "weird": None}], "version": 2}
    with_one = strict.evaluations.create(
        evaluation={"name": "taxonomy", "data": [{"a": 1}], "taxonomy_params": document}
    )
    without = strict.evaluations.create(evaluation={"name": "none", "data": [{"a": 1}]})

    assert strict.evaluations.retrieve_taxonomy(with_one.id) == document
    with pytest.raises(NotFoundError):
        strict.evaluations.retrieve_taxonomy(without.id)


def test_only_a_contributor_question_can_be_added_to_an_evaluation(strict: SGPClient) -> None:
    created = strict.evaluations.create(evaluation={"name": "add", "data": [{"a": "b"}]})

    with pytest.raises(BadRequestError):
        strict.evaluations.tasks.add(created.id, task=metric("f1", "a", "a"))  # type: ignore[arg-type]

    assert not strict.evaluations.retrieve(created.id, views=["tasks"]).tasks


def test_a_tasks_configuration_is_replaced_under_any_alias(strict: SGPClient) -> None:
    alias = "my score/ü %2F?#"
    done, _ = run(strict, standalone(ROWS[:1], metric("f1", "question", "expected", alias=alias)))

    updated = strict.evaluations.tasks.update(
        alias,
        evaluation_id=done.id,
        configuration={"type": "bleu", "candidate": "item.expected", "reference": "item.question"},
    )

    assert updated.id == done.id
    (task,) = strict.evaluations.retrieve(done.id, views=["tasks"]).tasks or []
    assert task.alias == alias
    assert task.configuration.type == "bleu"  # type: ignore[union-attr]
    with pytest.raises(UnprocessableEntityError):
        strict.evaluations.tasks.update(alias, evaluation_id=done.id, configuration={"type": "no such metric"})
    with pytest.raises(NotFoundError):
        strict.evaluations.tasks.update("unknown", evaluation_id=done.id, configuration={"type": "bleu"})


@pytest.fixture(scope="module")
def mixed(clients: Any) -> str:
    """The id of an evaluation of six items, two of which have a failed task."""
    rows = [{"n": n, "text": f'tëxt, "{n}"\nline', "deep": {"k": [n]}} for n in range(6)]
    source = "def third(n):\n    if n % 3 == 0:\n        raise ValueError('no thirds')\n    return n\n"
    parts = "def parts(n):\n    return {'half': n / 2, 'word': 'w' + str(n)}\n"
    done, _ = run(
        clients.official,
        standalone(
            rows, function(source), function(parts, outputs=[{"path": "half"}, {"path": "word", "alias": "said"}])
        ),
    )
    assert done.error_count == 2
    return done.id


def test_items_are_listed_by_whether_they_failed(strict: SGPClient, mixed: str) -> None:
    def numbers(**where: Any) -> list[object]:
        return [item.data["n"] for item in strict.evaluation_items.list(evaluation_id=mixed, **where)]

    assert numbers() == [0, 1, 2, 3, 4, 5]
    assert numbers(completion_status="failed") == [0, 3]
    assert numbers(completion_status="passed", limit=2) == [1, 2, 4, 5]
    assert numbers(completion_status="all", sort_order="desc") == [5, 4, 3, 2, 1, 0]


def test_items_page_both_ways(strict: SGPClient, mixed: str) -> None:
    ids = [item.id for item in strict.evaluation_items.list(evaluation_id=mixed)]

    forward = strict.evaluation_items.list(evaluation_id=mixed, limit=4)
    assert [item.id for item in forward] == ids
    backward = strict.evaluation_items.list(evaluation_id=mixed, limit=2, ending_before=ids[4])
    assert [item.id for item in backward.items] == ids[2:4]
    assert [item.id for item in backward] == [*ids[2:4], *ids[0:2]]
    assert strict.evaluation_items.list(evaluation_id=mixed, limit=10_000).total == 6  # type: ignore[attr-defined]


def test_a_failed_task_is_that_items_error_and_nothing_elses(strict: SGPClient, mixed: str) -> None:
    evaluation = strict.evaluations.retrieve(mixed)
    items = list(strict.evaluation_items.list(evaluation_id=mixed))

    assert evaluation.status == "completed"
    assert evaluation.progress is not None
    assert evaluation.progress.items is not None
    assert (evaluation.progress.items.failed, evaluation.progress.items.successful) == (2, 4)
    for item in items:
        n = item.data["n"]
        assert isinstance(n, int)
        assert item.task_result_statuses is not None
        assert item.data["half"] == n / 2
        assert item.data["said"] == f"w{n}"
        if n % 3:
            assert item.data["third"] == n
            assert not item.task_errors
        else:
            assert "third" not in item.data
            assert item.task_result_statuses["third"] == "errored"
            assert item.task_errors is not None
            assert list(item.task_errors) == ["third"]
            assert item.task_errors["third"].type == "function_error"
            assert "no thirds" in item.task_errors["third"].message


def test_json_and_jsonl_exports_hold_the_items(strict: SGPClient, mixed: str) -> None:
    items = [json.loads(item.model_dump_json()) for item in strict.evaluation_items.list(evaluation_id=mixed)]

    as_json = strict.evaluation_items.export(evaluation_id=mixed, export_format="json", export_method="direct")
    as_lines = strict.evaluation_items.export(evaluation_id=mixed, export_format="jsonl", export_method="direct")

    assert as_json.filename.endswith(".json")
    assert as_lines.filename.endswith(".jsonl")
    assert as_json.content is not None
    assert as_lines.content is not None
    rows = json.loads(as_json.content)
    assert rows == [json.loads(line) for line in as_lines.content.splitlines()]
    assert [row["data"] for row in rows] == [item["data"] for item in items]
    assert [row["id"] for row in rows] == [item["id"] for item in items]
    assert [row["task_errors"] or {} for row in rows] == [item["task_errors"] or {} for item in items]


def test_a_csv_export_has_a_line_for_each_item(strict: SGPClient, mixed: str) -> None:
    export = strict.evaluation_items.export(evaluation_id=mixed, export_format="csv", export_method="direct")

    assert export.filename.endswith(".csv")
    assert export.content is not None
    rows = list(csv.DictReader(io.StringIO(export.content)))
    assert len(rows) == 6
    assert [row["data.n"] for row in rows] == [str(n) for n in range(6)]
    assert [row["data.text"] for row in rows] == [f'tëxt, "{n}"\nline' for n in range(6)]
    assert [row["third"] for row in rows] == ["", "1", "2", "", "4", "5"]
    assert [row["said"] for row in rows] == [f"w{n}" for n in range(6)]
    assert json.loads(rows[0]["task_errors"])["third"]["type"] == "function_error"


@pytest.mark.parametrize(("kind", "content_type"), [("json", "json"), ("jsonl", "jsonl"), ("csv", "csv")])
def test_a_signed_link_is_fetched_without_a_key(
    strict: SGPClient, server: ServerProcess, mixed: str, kind: Any, content_type: str
) -> None:
    export = strict.evaluation_items.export(evaluation_id=mixed, export_format=kind)
    direct = strict.evaluation_items.export(evaluation_id=mixed, export_format=kind, export_method="direct")

    assert export.content is None
    assert export.signed_url is not None
    assert export.signed_url.startswith(server.base_url)
    answer = httpx.get(export.signed_url, trust_env=False)
    assert answer.status_code == 200
    assert answer.text == direct.content
    assert content_type in answer.headers["content-type"]
    assert not answer.headers["content-type"].startswith("application/x-ndjson")
    assert server.api_key not in export.signed_url


def test_a_signed_link_that_was_changed_is_refused(strict: SGPClient, mixed: str) -> None:
    link = strict.evaluation_items.export(evaluation_id=mixed).signed_url or ""
    begin = link.index("/v5/")

    for place in range(begin + 4, len(link), 7):
        changed = link[:place] + ("A" if link[place] != "A" else "B") + link[place + 1 :]
        answer = httpx.get(changed, trust_env=False)
        assert answer.status_code in {400, 401, 403, 404}, (place, answer.text)
    assert httpx.get(link, trust_env=False).status_code == 200


def test_an_export_of_any_name_has_a_plain_file_name(strict: SGPClient) -> None:
    made = strict.evaluations.create(
        evaluation={"name": 'a/../b"\r\nset-cookie: x=y\r\n\r\né\U0001f600;', "data": [{"a": 1}]}
    )

    export = strict.evaluation_items.export(evaluation_id=made.id, export_format="jsonl")

    answer = httpx.get(export.signed_url or "", trust_env=False)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert not set('/\\"\r\n') & set(export.filename)
    assert export.filename.endswith(".jsonl")


def test_groups_hold_evaluations_and_the_column_that_joins_them(strict: SGPClient) -> None:
    members = [
        strict.evaluations.create(evaluation={"name": unique("member"), "data": [{"uid": 1}], "tags": ["m"]})
        for _ in range(2)
    ]
    name = unique("group")

    group = strict.evaluation_groups.create(
        name=name,
        description="two of them",
        evaluation_ids=[member.id for member in members],
        tags=["g1", "g2"],
        metadata={"k": 1},
        row_identifiers={members[0].id: "uid"},
    )

    read = strict.evaluation_groups.retrieve(group.id)
    for found in (group, read):
        assert found.object == "evaluation_group"
        assert found.account_id == "default"
        assert (found.name, found.description, found.tags) == (name, "two of them", ["g1", "g2"])
        assert found.metadata == {"k": 1}
        assert found.evaluation_group_metadata == {"k": 1}  # type: ignore[attr-defined]
        assert found.members is not None
        assert [member.evaluation_id for member in found.members] == [member.id for member in members]
        assert [member.evaluation_name for member in found.members] == [member.name for member in members]
        assert {member.object for member in found.members} == {"evaluation_group.member"}
        assert found.members[0].evaluation_tags == ["m"]
        assert found.row_identifiers is not None
        assert [(one.evaluation_id, one.column_name) for one in found.row_identifiers] == [(members[0].id, "uid")]
    listed = strict.evaluation_groups.list(name=name.upper(), tags=["G2", "g1"], views=["members", "row_identifiers"])
    assert [found.id for found in listed] == [group.id]
    assert [found.id for found in strict.evaluation_groups.list(evaluation_id=members[1].id, views=["members"])] == [
        group.id
    ]


def test_a_group_is_changed_replaced_and_deleted(strict: SGPClient) -> None:
    one, two = [
        strict.evaluations.create(evaluation={"name": unique("member"), "data": [{"uid": 1, "n": n}]}) for n in range(2)
    ]
    group = strict.evaluation_groups.create(
        name=unique("group"), evaluation_ids=[one.id], metadata={"a": 1}, row_identifiers={one.id: "uid"}
    )

    changed = strict.evaluation_groups.update(group.id, metadata={"b": 2}, tags=["t"], row_identifiers={})
    assert (changed.name, changed.metadata, changed.tags) == (group.name, {"a": 1, "b": 2}, ["t"])
    assert changed.row_identifiers == []
    replaced = strict.evaluation_groups.replace(group.id, evaluation_ids=[two.id, one.id], description="d")
    assert [member.evaluation_id for member in replaced.members or ()] == [two.id, one.id]
    assert (replaced.name, replaced.description, replaced.metadata, replaced.tags) == (group.name, "d", None, [])
    schema = strict.evaluation_groups.retrieve_schema(group.id)
    assert [each.evaluation_id for each in schema.evaluation_schemas] == [two.id, one.id]
    assert [field.field_name for field in schema.evaluation_schemas[0].fields] == ["n", "uid"]
    strict.evaluations.archive(two.id)
    strict.evaluations.update(two.id, evaluation={"restore": True})
    read = strict.evaluation_groups.retrieve(group.id, views=["row_identifiers"])
    assert [member.evaluation_id for member in read.members or ()] == [one.id]
    archived = strict.evaluation_groups.archive(group.id)
    assert archived.deleted_at is not None
    with pytest.raises(NotFoundError):
        strict.evaluation_groups.archive(group.id)
    with pytest.raises(BadRequestError):
        strict.evaluation_groups.replace(archived.id, evaluation_ids=[])
    shown = strict.evaluation_groups.retrieve(group.id, include_deleted=True)
    assert [(member.evaluation_id, member.deleted_at) for member in shown.members or ()] == [
        (one.id, archived.deleted_at)
    ]


def test_a_group_of_an_unknown_evaluation_is_refused_and_not_made(strict: SGPClient) -> None:
    name = unique("no group")

    with pytest.raises(BadRequestError):
        strict.evaluation_groups.create(name=name, evaluation_ids=[str(uuid.uuid4())])
    with pytest.raises(UnprocessableEntityError):
        strict.evaluation_groups.create(name=name, evaluation_ids=[])

    assert list(strict.evaluation_groups.list(name=name)) == []


def test_environment_local_finds_the_server_under_public(server: ServerProcess) -> None:
    with SGPClient(
        api_key=server.api_key, account_id="default", base_url=f"{server.base_url}/public", max_retries=0
    ) as client:
        created = client.evaluations.create(evaluation={"name": "public", "data": [{"a": 1}]})
        assert client.evaluations.retrieve(created.id).name == "public"
        assert [item.data for item in client.evaluation_items.list(evaluation_id=created.id)] == [{"a": 1}]
    with SGPClient(api_key="k", account_id="default", environment="local") as client:
        assert str(client.base_url).rstrip("/") == "http://127.0.0.1:5003/public"


def test_errors_reach_the_client_as_its_own_exceptions(strict: SGPClient, server: ServerProcess) -> None:
    with pytest.raises(NotFoundError) as missing:
        strict.evaluations.retrieve(str(uuid.uuid4()))
    assert isinstance(missing.value.body, dict)
    assert isinstance(missing.value.body["detail"], str)
    with pytest.raises(UnprocessableEntityError) as wrong:
        strict.evaluations.list(limit=100_000)
    assert isinstance(wrong.value.body, dict)
    (problem,) = wrong.value.body["detail"]
    assert problem["loc"] == ["query", "limit"]
    with pytest.raises(BadRequestError):
        strict.evaluations.list(starting_after="no such id")
    for key, account, status in [("bad", "default", 401), (server.api_key, "not mine", 403)]:
        client = SGPClient(api_key=key, account_id=account, base_url=server.base_url, max_retries=0)
        with client, pytest.raises(APIStatusError) as refused:
            client.evaluations.list()
        assert refused.value.status_code == status
