"""People's work over HTTP on the real SQLite storage: asking, claiming, answering, auditing, and hostile input."""

from datetime import timedelta

import pytest

from assay.api.v5.schemas import annotation_tasks as schemas
from assay.core.annotation import AnnotationKind
from assay.core.identity import Caller, Identity
from assay.services.annotation import AnnotationTasks, ClaimRequest
from tests.builders.contributing import LAYOUT, TASKS, People, contributor_task
from tests.builders.evaluating import evaluating_api, metric_task


@pytest.fixture
async def people(tmp_path):
    async with evaluating_api(tmp_path) as api:
        yield People(api)


async def _asked(people, *tasks, rows=2, **more):
    """An evaluation whose rows show an answer each, which people are asked about."""
    data = [{"answer": f"answer {number}", "expected": "x"} for number in range(rows)]
    return await people.api.create(data, tasks=list(tasks), **more)


async def _refused(people, *tasks, **more):
    reply = await people.api.served.raw.post(
        "/v5/evaluations", json={"name": "n", "data": [{"answer": "a"}], "tasks": list(tasks), **more}
    )
    assert reply.status_code == 422, reply.text
    assert (await people.read("/v5/evaluations"))["total"] == 0
    assert (await people.read(TASKS))["total"] == 0
    return reply.json()["detail"]


async def test_an_evaluation_that_only_people_answer_is_completed_and_says_who_is_waited_for(people):
    created = await _asked(people, contributor_task(await people.asks()))
    assert created["status"] == "completed"
    assert created["status_reason"] == "2 of 2 annotation tasks wait for people (queues: default)"
    assert created["progress"]["annotation"] == {"total": 2, "completed": 0, "pending": 2}
    assert created["progress"]["items"]["successful"] == 2
    assert people.api.engine.started == []
    first = (await people.items(created))[0]
    assert first["task_result_statuses"] == {"quality": "pending"}
    assert "quality" not in first["data"]


async def test_an_answer_is_the_items_result_and_the_progress_follows(people):
    created = await _asked(people, contributor_task(await people.asks()))
    task = await people.claim("ann")
    schemas.AnnotationTaskDetail.model_validate(task)
    assert (task["status"], task["assigned_to"], task["answers"]) == ("PENDING", "ann", None)
    reply = await people.act("ann", task, "answer", answers={"quality": "good"}, duration_seconds=7, comment="nice")
    done = reply.json()
    schemas.AnnotationTask.model_validate(done)
    assert (done["status"], done["duration_seconds"], done["review_comment"]) == ("COMPLETED", 7, "nice")
    first, second = await people.items(created)
    assert (first["data"]["quality"], first["task_result_statuses"]) == ("good", {"quality": "completed"})
    assert second["task_result_statuses"] == {"quality": "pending"}
    shown = await people.read(f"/v5/evaluations/{created['id']}")
    assert shown["progress"]["annotation"] == {"total": 2, "completed": 1, "pending": 1}
    await people.does("ann", {"quality": "bad"})
    shown = await people.read(f"/v5/evaluations/{created['id']}")
    assert (shown["status_reason"], shown["progress"]["annotation"]["pending"]) == (None, 0)
    assert await people.claim("ann") is None


async def test_a_task_shows_what_its_layout_names_and_nothing_else(people):
    layout = {
        "children": [
            {"children": [{"data": "item.answer"}, {"data": "item.meta.kind", "label": "Kind"}]},
            {"data": "item.meta.nothing"},
        ],
        "direction": "column",
    }
    question = await people.asks()
    task = contributor_task(question, layout=layout)
    await people.api.create([{"answer": "a", "secret": "s", "meta": {"kind": 3}}], tasks=[task])
    claimed = await people.claim("ann")
    (asked,) = claimed["questions"]
    assert asked["layout"] == {
        "direction": "column",
        "children": [
            {
                "direction": "row",
                "children": [
                    {"data": "item.answer", "label": "answer", "value": "a", "missing": False},
                    {"data": "item.meta.kind", "label": "Kind", "value": 3, "missing": False},
                ],
            },
            {"data": "item.meta.nothing", "label": "meta.nothing", "value": None, "missing": True},
        ],
    }
    assert (asked["question"]["id"], asked["question"]["prompt"]) == (question, "How is it?")
    assert '"s"' not in str(claimed)


async def test_a_layout_that_points_at_nothing_is_refused_with_its_place(people):
    layout = {"children": [{"data": "item.answer"}, {"children": [{"data": "item.nothing"}]}]}
    (problem,) = await _refused(people, contributor_task(await people.asks(), layout=layout))
    assert problem["loc"] == ["body", "tasks", 0, "configuration", "layout", "children", 1, "children", 0, "data"]
    assert "points at no column" in problem["msg"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"layout": {"children": []}}, "layout"),
        ({"layout": {"children": [{"label": "no data"}]}}, "data"),
        ({"layout": {"children": [7]}}, "component"),
        ({"layout": LAYOUT["children"][0]}, "children"),
        ({"layout": {"children": [{"data": "item.answer"}], "direction": "up"}}, "direction"),
        ({"question_id": ""}, "question_id"),
        ({"queue_id": ""}, "queue_id"),
        ({"overlap": 0}, "overlap"),
        ({"overlap": 101}, "overlap"),
        ({"audit_levels": 3}, "audit_levels"),
        ({"prefill_from": "nothing"}, "prefill_from"),
        ({"layout": {"children": [{"data": "item.quality"}]}}, "data"),
    ],
)
async def test_a_bad_configuration_is_refused_at_creation(people, changes, place):
    problems = await _refused(people, contributor_task(await people.asks(), **changes))
    assert place in [part for problem in problems for part in problem["loc"]]


async def test_a_question_that_is_unknown_or_archived_cannot_be_asked(people):
    raw = people.api.served.raw
    archived = await people.asks()
    await raw.delete(f"/v5/questions/{archived}")
    stranger = await people.api.served.stranger.post(
        "/v5/questions", json={"name": "n", "prompt": "p", "question_type": "free_text"}
    )
    for question_id in ("nobody", archived, stranger.json()["id"]):
        body = {"name": "n", "data": [{"answer": "a"}], "tasks": [contributor_task(question_id)]}
        reply = await raw.post("/v5/evaluations", json=body)
        assert reply.status_code == 400
        assert "tasks.0.configuration.question_id" in reply.json()["detail"]


async def test_tasks_of_one_queue_are_one_piece_of_work_and_must_agree(people):
    question = await people.asks()
    tasks = [contributor_task(question, "a", overlap=2), contributor_task(question, "b")]
    (problem,) = await _refused(people, *tasks)
    assert problem["loc"] == ["body", "tasks", 1, "configuration", "overlap"]
    created = await _asked(people, contributor_task(question, "a"), contributor_task(question, "b"), rows=1)
    assert (await people.read(TASKS))["total"] == 1
    await people.does("ann", {"a": "good", "b": "bad"})
    (item,) = await people.items(created)
    assert (item["data"]["a"], item["data"]["b"]) == ("good", "bad")


async def test_queues_are_apart(people):
    question = await people.asks()
    await _asked(people, contributor_task(question, "a"), contributor_task(question, "b", queue_id="q"), rows=1)
    assert [asked["alias"] for asked in (await people.claim("ann"))["questions"]] == ["a"]
    assert [asked["alias"] for asked in (await people.claim("ann", queue_id="q"))["questions"]] == ["b"]
    assert await people.claim("bob", queue_id="nobody's") is None


async def test_nothing_that_runs_can_wait_for_people(people):
    question = await people.asks()
    metric = metric_task()
    metric["configuration"]["candidate"] = "item.quality"
    (problem, *_) = await _refused(people, contributor_task(question), metric)
    assert problem["type"] == "waits_for_people"
    for content in ("item.quality", "Was it {{item.quality}}?"):
        chat = {"model": "fake/m", "messages": [{"role": "user", "content": content}]}
        task = {"task_type": "chat_completion", "configuration": chat}
        (problem,) = await _refused(people, contributor_task(question), task)
        assert problem["type"] == "waits_for_people"


async def test_prefilled_answers_stand_until_somebody_answers(people):
    question = await people.asks()
    task = contributor_task(question, prefill_from="guess")
    rows = [{"answer": "a", "guess": "good"}, {"answer": "b", "guess": "unheard of"}, {"answer": "c"}]
    created = await people.api.create(rows, tasks=[task])
    statuses = [item["task_result_statuses"]["quality"] for item in await people.items(created)]
    assert statuses == ["prefilled", "pending", "pending"]
    assert (await people.items(created))[0]["data"]["quality"] == "good"
    claimed = await people.does("ann", {"quality": "bad"})
    assert claimed["questions"][0]["prefilled"] == "good"
    first = (await people.items(created))[0]
    assert (first["data"]["quality"], first["task_result_statuses"]["quality"]) == ("bad", "completed")


async def test_prefilled_rows_are_skipped_when_asked_to(people):
    task = contributor_task(await people.asks(), prefill_from="item.guess")
    rows = [{"answer": "a", "guess": "good"}, {"answer": "b", "guess": 7}]
    created = await people.api.create(rows, tasks=[task], skip_prefilled_rows=True)
    assert created["progress"]["annotation"]["total"] == 1
    claimed = await people.claim("ann")
    assert claimed["evaluation_item_id"] == (await people.items(created))[1]["id"]


async def test_a_result_comes_when_all_answers_are_in(people):
    created = await _asked(people, contributor_task(await people.asks(), overlap=3), rows=1)
    for name, answer in (("ann", "good"), ("bob", "bad")):
        await people.does(name, {"quality": answer})
        (item,) = await people.items(created)
        assert item["task_result_statuses"] == {"quality": "pending"}
    await people.does("cid", {"quality": "good"})
    (item,) = await people.items(created)
    assert (item["data"]["quality"], item["task_result_statuses"]) == ("good", {"quality": "completed"})


async def test_a_tie_is_an_error_that_says_how_the_answers_fell(people):
    created = await _asked(people, contributor_task(await people.asks(), overlap=2), rows=1)
    await people.does("ann", {"quality": "good"})
    await people.does("bob", {"quality": "bad"})
    (item,) = await people.items(created)
    assert "quality" not in item["data"]
    assert item["task_errors"]["quality"]["type"] == "no_consensus"
    assert "1 of 2 say" in item["task_errors"]["quality"]["message"]
    aggregates = await people.read(f"/v5/evaluations/{created['id']}/aggregates")
    assert (aggregates["tasks"][0]["errored"], aggregates["tasks"][0]["completed"]) == (1, 0)


async def test_nobody_sees_others_answers_before_giving_their_own(people):
    created = await _asked(people, contributor_task(await people.asks(), overlap=2), rows=1)
    done = await people.does("ann", {"quality": "good"})
    path = f"/v5/evaluations/{created['id']}/answers"

    async def seen(name):
        (given,) = (await people.send(name, "GET", path)).json()["items"]
        schemas.GivenAnswers.model_validate(given)
        task = (await people.send(name, "GET", f"{TASKS}/{done['id']}")).json()
        assert (task["history"] != []) == (task["answers"] is not None)
        return given["answers"], given["given"], task["answers"]

    assert await seen("bob") == (None, None, None)
    assert await seen("ann") == ({"quality": "good"}, {"quality": "good"}, {"quality": "good"})
    await people.claim("bob")
    assert await seen("bob") == (None, None, None)
    await people.does("bob", {"quality": "bad"})
    given = (await people.send("cid", "GET", path)).json()
    assert [each["answers"] for each in given["items"]] == [{"quality": "good"}, {"quality": "bad"}]
    assert [each["contributor"] for each in given["items"]] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("question", "good", "bad"),
    [
        ({}, "good", ["ugly", 1, ["good"], {}, True]),
        (
            {"configuration": {"choices": ["good", "bad"], "multi": True}},
            ["bad", "good"],
            ["good", ["good", "good"], [1]],
        ),
        (
            {"question_type": "rating", "configuration": {"steps": 5, "min_label": "l", "max_label": "h"}},
            5,
            [0, 6, 2.5, "5", True],
        ),
        ({"question_type": "number", "configuration": {"min": 0, "max": 1}}, 0.5, [-0.1, 1.1, "1", False]),
        ({"question_type": "free_text", "configuration": {"max_length": 3}}, "abc", ["abcd", 1, ["a"]]),
        ({"question_type": "form", "configuration": {"form_schema": {}}}, {"a": 1}, [1, "no json", [{}]]),
        ({"question_type": "timestamp", "configuration": None}, 12.5, ["now", True, [1]]),
    ],
)
async def test_an_answer_of_the_wrong_type_or_outside_its_scale_is_refused(people, question, good, bad):
    created = await _asked(people, contributor_task(await people.asks(**question)), rows=1)
    task = await people.claim("ann")
    for answer in bad:
        reply = await people.act("ann", task, "answer", answers={"quality": answer})
        assert reply.status_code == 422, (answer, reply.text)
        assert reply.json()["detail"][0]["loc"] == ["body", "answers", "quality"]
    assert (await people.act("ann", task, "answer", answers={"quality": good})).status_code == 200
    (item,) = await people.items(created)
    assert item["data"]["quality"] == good


async def test_what_is_required_must_be_answered_and_a_draft_need_not(people):
    question = await people.asks()
    tasks = [contributor_task(question, "a", required=True), contributor_task(question, "b")]
    created = await _asked(people, *tasks, rows=1)
    task = await people.claim("ann")
    for answers in ({}, {"b": "good"}, {"a": None}):
        reply = await people.act("ann", task, "answer", answers=answers)
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["body", "answers", "a"])
    draft = await people.act("ann", task, "answer", answers={"b": "bad"}, draft=True)
    assert (draft.status_code, draft.json()["status"]) == (200, "PENDING")
    assert (await people.claim("ann"))["answers"] == {"b": "bad"}
    unknown = await people.act("ann", task, "answer", answers={"c": "good", "a": "good"})
    assert (unknown.status_code, unknown.json()["detail"][0]["type"]) == (422, "unknown_alias")
    assert (await people.act("ann", task, "answer", answers={"a": "good"})).status_code == 200
    (item,) = await people.items(created)
    assert item["task_result_statuses"] == {"a": "completed", "b": "skipped"}


async def test_conditions_say_what_is_asked(people):
    first = await people.asks()
    second = await people.asks(conditions=[{first: ["bad"]}])
    opaque = await people.asks(conditions=[{"shown_when": "whatever"}])
    await _asked(
        people,
        contributor_task(first, "a"),
        contributor_task(second, "b", required=True),
        contributor_task(opaque, "c", required=True),
        rows=2,
    )
    task = await people.claim("ann")
    reply = await people.act("ann", task, "answer", answers={"a": "good", "b": "good", "c": "good"})
    assert (reply.status_code, reply.json()["detail"][0]["type"]) == (422, "not_asked")
    reply = await people.act("ann", task, "answer", answers={"a": "bad", "c": "good"})
    assert (reply.status_code, reply.json()["detail"][0]["type"]) == (422, "missing")
    assert (await people.act("ann", task, "answer", answers={"a": "good", "c": "good"})).status_code == 200
    await people.does("ann", {"a": "bad", "b": "good", "c": "good"})


async def test_an_archived_question_takes_no_answers(people):
    question = await people.asks()
    await _asked(people, contributor_task(question), rows=1)
    task = await people.claim("ann")
    await people.api.served.raw.delete(f"/v5/questions/{question}")
    reply = await people.act("ann", task, "answer", answers={"quality": "good"})
    assert (reply.status_code, "archived" in reply.json()["detail"]) == (400, True)
    await people.api.served.raw.post(f"/v5/questions/{question}/restore")
    assert (await people.act("ann", task, "answer", answers={"quality": "good"})).status_code == 200


async def test_somebody_elses_task_is_not_to_be_touched(people):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    task = await people.claim("ann")
    for action, body in (("answer", {"answers": {"quality": "good"}}), ("release", {}), ("skip", {}), ("flag", {})):
        assert (await people.act("bob", task, action, **body)).status_code == 403, action
        path = f"{TASKS}/{task['id']}/{action}"
        assert (await people.api.served.stranger.post(path, json=body)).status_code == 404, action
    for path in (f"{TASKS}/nobody", f"{TASKS}/nobody/x"):
        assert (await people.send("ann", "GET", path)).status_code == 404
    assert (await people.act("ann", task, "release")).json()["assigned_to"] is None
    assert (await people.act("ann", task, "answer", answers={"quality": "good"})).status_code == 403


async def test_the_same_answer_sent_again_changes_nothing(people):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    task = await people.does("ann", {"quality": "good"})
    again = await people.act("ann", task, "answer", answers={"quality": "good"})
    assert (again.status_code, again.json()["status"]) == (200, "COMPLETED")
    assert (await people.act("ann", task, "answer", answers={"quality": "bad"})).status_code == 400
    history = (await people.send("ann", "GET", f"{TASKS}/{task['id']}")).json()["history"]
    assert [event["action"] for event in history] == ["answer"]


async def test_a_lease_that_ended_goes_back(people):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    clock = people.api.clock
    service = AnnotationTasks(people.api.storage, clock, lease_seconds=60)
    wanted = ClaimRequest(AnnotationKind.CONTRIBUTOR_ANNOTATION)
    ann, bob = (Caller("default", Identity(name)) for name in ("ann", "bob"))
    first = await service.claim(ann, wanted)
    assert first.lease_until == clock.moment + timedelta(seconds=60)
    clock.tick(59)
    assert await service.claim(bob, wanted) is None
    clock.tick(2)
    taken = await service.claim(bob, wanted)
    assert (taken.id, taken.assigned_to) == (first.id, "bob")
    assert await service.claim(ann, wanted) is None


async def test_a_skipped_task_is_for_others(people):
    await _asked(people, contributor_task(await people.asks()), rows=2)
    first = await people.claim("ann")
    assert (await people.act("ann", first, "skip")).json()["assigned_to"] is None
    second = await people.claim("ann")
    assert second["id"] != first["id"]
    third = await people.claim("bob")
    assert third["id"] == first["id"]
    assert (await people.claim("ann", skip_current=True)) is None
    assert (await people.claim("ann"))["id"] == second["id"]


async def test_audits_approve_fix_and_send_back(people):
    created = await _asked(people, contributor_task(await people.asks(), audit_levels=2), rows=1)
    assert created["progress"]["annotation"]["total"] == 3
    await people.does("ann", {"quality": "bad"})
    assert await people.claim("ann", task_type="CONTRIBUTOR_AUDIT") is None, "nobody audits their own answer"
    audit = await people.claim("bob", task_type="CONTRIBUTOR_AUDIT")
    assert (audit["level"], audit["answers"]) == (1, {"quality": "bad"})
    assert (await people.act("bob", audit, "answer", answers={"quality": "good"})).status_code == 400
    for verdict, answers, status in (
        ("fix", None, 422),
        ("approve", {"quality": "good"}, 422),
        ("fix", {"quality": "ugly"}, 422),
        ("fix", {"other": "good"}, 422),
        ("shrug", None, 422),
    ):
        reply = await people.act("bob", audit, "audit", verdict=verdict, answers=answers)
        assert reply.status_code == status, (verdict, answers, reply.text)
    assert (await people.act("cid", audit, "audit", verdict="approve")).status_code == 403
    fixed = await people.act("bob", audit, "audit", verdict="fix", answers={"quality": "good"}, comment="look")
    assert (fixed.json()["status"], fixed.json()["review_comment"]) == ("FIXED", "look")
    (item,) = await people.items(created)
    assert item["data"]["quality"] == "good"
    again = await people.act("bob", audit, "audit", verdict="fix", answers={"quality": "good"}, comment="look")
    assert again.status_code == 200
    assert await people.claim("bob", task_type="CONTRIBUTOR_AUDIT") is None, "nobody audits at two levels"
    await people.audits("cid", "redo", comment="once more, please")
    (item,) = await people.items(created)
    assert item["task_result_statuses"] == {"quality": "pending"}
    assert await people.claim("dot") is None, "an answer sent back is for its author"
    back = await people.claim("ann")
    assert (back["status"], back["answers"], back["review_comment"]) == (
        "PENDING_REDO",
        {"quality": "bad"},
        "once more, please",
    )
    assert (await people.act("ann", back, "skip")).status_code == 400
    await people.act("ann", back, "answer", answers={"quality": "good"})
    await people.audits("bob", "approve")
    await people.audits("cid", "approve")
    shown = await people.read(f"/v5/evaluations/{created['id']}")
    assert shown["progress"]["annotation"] == {"total": 3, "completed": 3, "pending": 0}
    (given,) = (await people.read(f"/v5/evaluations/{created['id']}/answers"))["items"]
    assert (given["given"], [audit["status"] for audit in given["audits"]]) == (
        {"quality": "good"},
        ["COMPLETED", "COMPLETED"],
    )


async def test_a_sent_back_prefilled_answer_is_prefilled_again(people):
    task = contributor_task(await people.asks(), prefill_from="guess")
    created = await people.api.create([{"answer": "a", "guess": "good"}], tasks=[task])
    done = await people.does("ann", {"quality": "bad"})
    assert (await people.act("bob", done, "redo", comment="?")).json()["status"] == "PENDING_REDO"
    (item,) = await people.items(created)
    assert (item["data"]["quality"], item["task_result_statuses"]["quality"]) == ("good", "prefilled")
    assert (await people.act("bob", done, "redo")).status_code == 400


async def test_a_done_answer_is_flagged_by_anybody_and_unflagged(people):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    done = await people.does("ann", {"quality": "bad"})
    flagged = await people.act("bob", done, "flag", comment="hm")
    assert (flagged.json()["flagged_for_review"], flagged.json()["review_comment"]) == (True, "hm")
    assert (await people.act("bob", done, "flag", flagged_for_review=False)).json()["flagged_for_review"] is False


async def test_the_batch_call_assigns_settles_and_sends_back(people):
    await _asked(people, contributor_task(await people.asks()), rows=3)
    tasks = (await people.read(TASKS))["items"]
    official = people.api.served.official
    ids = [task["id"] for task in tasks]
    changed = await official.annotation_tasks.batch_update(ids=[ids[1], "nobody", ids[0]], assigned_to="bob")
    assert [(task.id, task.assigned_to) for task in changed.items] == [(ids[1], "bob"), (ids[0], "bob")]
    claimed = await people.claim("ann")
    assert claimed["id"] == ids[2], "the others are reserved"
    await people.act("ann", claimed, "answer", answers={"quality": "good"})
    back = await official.annotation_tasks.batch_update(ids=[ids[2]], status="PENDING_REDO")
    assert back.items[0].status == "PENDING_REDO"
    settled = await official.annotation_tasks.batch_update(ids=[ids[2]], status="COMPLETED")
    assert settled.items[0].status == "COMPLETED"
    for body in (
        {"ids": ids, "assigned_to": "cid"},
        {"ids": ids, "status": "COMPLETED"},
        {"ids": ids, "status": "pending_redo"},
    ):
        reply = await people.send("ann", "PATCH", f"{TASKS}/batch", json=body)
        assert reply.status_code == 400, reply.text
    after = (await people.read(TASKS))["items"]
    assert [task["assigned_to"] for task in after] == ["bob", "bob", "ann"], "all or nothing"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["a"]},
        {"assigned_to": "bob"},
        {"ids": ["a"], "status": "FIXED"},
        {"ids": ["a"], "assigned_to": ""},
        {"ids": "a", "assigned_to": "bob"},
        {"audit_assignment": {"evaluation_id": "e", "queue_id": "q", "evaluation_item_ids": ["i"]}},
        {
            "ids": ["a"],
            "assigned_to": "b",
            "audit_assignment": {
                "evaluation_id": "e",
                "queue_id": "q",
                "evaluation_item_ids": [],
                "level_1_assigned_to": "x",
            },
        },
    ],
)
async def test_a_batch_of_the_wrong_shape_is_refused(people, body):
    reply = await people.send("ann", "PATCH", f"{TASKS}/batch", json=body)
    assert reply.status_code == 422


async def test_auditors_are_named_and_missing_audits_made(people):
    created = await _asked(people, contributor_task(await people.asks(), overlap=2), rows=2)
    await people.does("ann", {"quality": "good"})
    items = [item["id"] for item in await people.items(created)]
    official = people.api.served.official
    common = {"evaluation_id": created["id"], "queue_id": "default", "evaluation_item_ids": [*items, "nobody"]}
    reply = await people.send(
        "x", "PATCH", f"{TASKS}/batch", json={"audit_assignment": {**common, "level_2_assigned_to": "cid"}}
    )
    assert (reply.status_code, "level 1" in reply.json()["detail"]) == (400, True)
    made = await official.annotation_tasks.batch_update(audit_assignment={**common, "level_1_assigned_to": "bob"})
    assert [task.status for task in made.items] == ["PENDING", "NOT_READY", "NOT_READY", "NOT_READY"]
    assert {task.task_type for task in made.items} == {"CONTRIBUTOR_AUDIT"}
    assert {task.assigned_to for task in made.items} == {"bob"}
    both = await official.annotation_tasks.batch_update(audit_assignment={**common, "level_2_assigned_to": "cid"})
    assert {task.assigned_to for task in both.items} == {"cid"}
    assert await people.claim("bob") is None, "bob will audit these items"
    await people.audits("bob", "approve")
    for level, name in (("level_1", "ann"), ("level_1", "dot"), ("level_2", "bob")):
        body = {"audit_assignment": {**common, f"{level}_assigned_to": name}}
        assert (await people.send("x", "PATCH", f"{TASKS}/batch", json=body)).status_code == 400, (level, name)
    body = {"audit_assignment": {**common, "evaluation_id": "nobody", "level_1_assigned_to": "bob"}}
    assert (await people.send("x", "PATCH", f"{TASKS}/batch", json=body)).status_code == 404


async def test_an_archived_evaluation_gives_no_work_and_restored_it_does(people):
    created = await _asked(people, contributor_task(await people.asks()), rows=2)
    held = await people.claim("ann")
    await people.api.served.raw.delete(f"/v5/evaluations/{created['id']}")
    assert await people.claim("ann") is None
    assert await people.claim("bob") is None
    assert await people.claim("bob", evaluation_id=created["id"]) is None
    assert (await people.act("ann", held, "answer", answers={"quality": "good"})).status_code == 400
    assert (await people.read(TASKS))["total"] == 0
    assert (await people.read(TASKS, include_archived=True))["total"] == 2
    await people.api.served.raw.patch(f"/v5/evaluations/{created['id']}", json={"restore": True})
    assert (await people.claim("ann"))["id"] == held["id"]
    assert (await people.act("ann", held, "answer", answers={"quality": "good"})).status_code == 200


async def test_a_contributor_task_can_be_added_until_people_begin(people):
    question = await people.asks()
    created = await _asked(people, rows=2)
    path = f"/v5/evaluations/{created['id']}/tasks"
    added = await people.api.served.raw.post(path, json={"task": contributor_task(question)})
    assert added.status_code == 200, added.text
    assert [task["alias"] for task in added.json()["tasks"]] == ["quality"]
    assert added.json()["progress"]["annotation"]["total"] == 2
    again = await people.api.served.raw.post(path, json={"task": contributor_task(question)})
    assert (again.status_code, again.json()["detail"][0]["loc"]) == (422, ["body", "task", "alias"])
    bad = await people.api.served.raw.post(path, json={"task": contributor_task(question, "b", overlap=2)})
    assert (bad.status_code, bad.json()["detail"][0]["loc"]) == (422, ["body", "task", "configuration", "overlap"])
    more = await people.api.served.raw.post(path, json={"task": contributor_task(question, "b")})
    assert (more.status_code, more.json()["progress"]["annotation"]["total"]) == (200, 2)
    await people.claim("ann")
    late = await people.api.served.raw.post(path, json={"task": contributor_task(question, "c")})
    assert (late.status_code, "begun" in late.json()["detail"]) == (400, True)


async def test_a_contributor_tasks_configuration_can_be_replaced_until_people_begin(people):
    question = await people.asks()
    task = contributor_task(question, prefill_from="expected")
    created = await _asked(people, task)
    path = f"/v5/evaluations/{created['id']}/tasks/quality"
    other = await people.asks(question_type="free_text", configuration=None)
    settings = {**task["configuration"], "question_id": other, "overlap": 2, "queue_id": "q"}
    changed = await people.api.served.raw.patch(path, json={"configuration": settings})
    assert changed.status_code == 200, changed.text
    assert changed.json()["progress"]["annotation"]["total"] == 4
    assert [item["task_result_statuses"]["quality"] for item in await people.items(created)] == ["prefilled"] * 2
    assert await people.claim("ann") is None
    assert await people.claim("ann", queue_id="q") is not None
    late = await people.api.served.raw.patch(path, json={"configuration": settings})
    assert late.status_code == 400


async def test_what_is_asked_anew_is_shown_anew(people):
    created = await _asked(people, contributor_task(await people.asks()))
    first = await people.claim("ann")
    await people.act("ann", first, "release")
    people.api.clock.tick()
    settings = contributor_task(await people.asks(prompt="And now?"))["configuration"]
    path = f"/v5/evaluations/{created['id']}/tasks/quality"
    changed = await people.api.served.raw.patch(path, json={"configuration": settings})
    assert changed.status_code == 200, changed.text
    assert (await people.claim("ann"))["questions"][0]["question"]["prompt"] == "And now?"
    assert (await people.act("ann", first, "release")).status_code == 404, "its task went with the old question"


async def test_what_shows_a_models_output_waits_for_the_job(people):
    layout = {"children": [{"data": "item.exact_match"}]}
    created = await _asked(people, metric_task(), contributor_task(await people.asks(), layout=layout))
    assert (created["status"], created["status_reason"]) == ("running", None)
    assert {task["status"] for task in (await people.read(TASKS))["items"]} == {"NOT_READY"}
    assert await people.claim("ann") is None


async def test_what_shows_only_the_rows_does_not_wait_for_the_job(people):
    await _asked(people, metric_task(), contributor_task(await people.asks()))
    assert await people.claim("ann") is not None


async def test_queues_are_listed_in_numbers(people):
    question = await people.asks()
    await _asked(people, contributor_task(question, audit_levels=1), rows=3)
    await people.does("ann", {"quality": "good"})
    await people.claim("ann")
    found = await people.read(f"{TASKS}/queues")
    for queue in found["items"]:
        schemas.Queue.model_validate(queue)
    assert [
        (queue["task_type"], queue["free"], queue["taken"], queue["not_ready"], queue["completed"], queue["total"])
        for queue in found["items"]
    ] == [("CONTRIBUTOR_ANNOTATION", 1, 1, 0, 1, 3), ("CONTRIBUTOR_AUDIT", 1, 0, 2, 0, 3)]


async def test_lists_are_by_queue_evaluation_state_and_holder(people):
    question = await people.asks()
    created = await _asked(people, contributor_task(question), rows=3)
    await _asked(people, contributor_task(question, queue_id="q"), rows=1)
    await people.does("ann", {"quality": "good"})

    async def count(**params):
        reply = await people.send("ann", "GET", TASKS, params=params)
        assert reply.status_code == 200, reply.text
        schemas.AnnotationTaskPage.model_validate(reply.json())
        return reply.json()["total"]

    assert [await count(), await count(queue_id="q"), await count(evaluation_id=created["id"])] == [4, 1, 3]
    assert [await count(status="COMPLETED"), await count(assigned_to="me"), await count(assigned_to="bob")] == [1, 1, 0]
    assert await count(task_type="CONTRIBUTOR_AUDIT") == 0
    assert (await people.send("ann", "GET", TASKS, params={"status": "DONE"})).status_code == 422
    assert (await people.api.served.stranger.get(TASKS)).json()["total"] == 0


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("answer", {}),
        ("answer", {"answers": []}),
        ("answer", {"answers": {"quality": "good"}, "duration_seconds": -1}),
        ("answer", {"answers": {"quality": "good"}, "duration_seconds": 1.5}),
        ("answer", {"answers": {"quality": "good"}, "duration_seconds": 10**12}),
        ("answer", {"answers": {"quality": "good"}, "flagged_for_review": "yes"}),
        ("answer", {"answers": {"x\ny": "good"}}),
        ("audit", {}),
        ("flag", {"flagged_for_review": None}),
    ],
)
async def test_a_body_of_the_wrong_shape_is_refused(people, action, body):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    task = await people.claim("ann")
    assert (await people.act("ann", task, action, **body)).status_code == 422


async def test_calls_without_a_body_are_fine(people):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    claimed = await people.send("ann", "POST", f"{TASKS}/claim", content=b"")
    task = claimed.json()["task"]
    assert (await people.send("ann", "POST", f"{TASKS}/{task['id']}/flag", content=b"")).status_code == 200
    assert (await people.send("ann", "POST", f"{TASKS}/{task['id']}/release", content=b"")).status_code == 200


@pytest.mark.parametrize("name", ["'; DROP TABLE annotation_tasks; --", "\u202e", "%00", "x" * 300])
async def test_hostile_queue_names_are_only_names(people, name):
    await _asked(people, contributor_task(await people.asks()), rows=1)
    claimed = await people.send("ann", "POST", f"{TASKS}/claim", json={"queue_id": name})
    assert claimed.status_code in (200, 422)
    assert (await people.send("ann", "GET", TASKS, params={"queue_id": name})).json()["total"] == 0
    nul = await people.send("ann", "GET", TASKS, params={"queue_id": "a\x00b"})
    assert nul.status_code == 422
    assert await people.claim("ann") is not None


async def test_a_contributors_key_is_good_for_their_tasks_and_nothing_else(people):
    created = await _asked(people, contributor_task(await people.asks(), overlap=2), rows=1)
    await people.gets_a_key("con", role="contributor")
    theirs = await people.does("con", {"quality": "good"})
    other = await people.claim("ann")
    assert (await people.send("con", "GET", TASKS)).json()["total"] == 1
    assert (await people.send("con", "GET", f"{TASKS}/{theirs['id']}")).status_code == 200
    assert (await people.send("con", "GET", f"{TASKS}/queues")).status_code == 200
    evaluation = f"/v5/evaluations/{created['id']}"
    for method, path, body in (
        ("GET", f"{TASKS}/{other['id']}", None),
        ("POST", f"{TASKS}/{other['id']}/flag", {}),
        ("POST", f"{TASKS}/{theirs['id']}/redo", {}),
        ("PATCH", f"{TASKS}/batch", {"ids": [theirs["id"]], "status": "PENDING_REDO"}),
        ("GET", "/v5/evaluations", None),
        ("GET", evaluation, None),
        ("DELETE", evaluation, None),
        ("GET", f"{evaluation}/answers", None),
        ("GET", f"{evaluation}/agreement", None),
        ("GET", "/v5/evaluation-items", None),
        ("POST", "/v5/datasets", {"name": "d", "data": [{"a": 1}]}),
        ("GET", "/v4/evaluations", None),
    ):
        reply = await people.send("con", method, path, json=body)
        assert reply.status_code == 403, (method, path, reply.text)


async def test_people_see_the_rubric_that_they_answer_by(people):
    raw = people.api.served.raw
    body = {"title": "Good answers", "criteria": [{"title": "says why", "weight": 2}]}
    rubric = (await raw.post("/v5/rubrics", json=body)).json()
    task = contributor_task(await people.asks(), rubric_id=rubric["id"])
    await _asked(people, task, rows=1)
    await raw.patch(f"/v5/rubrics/{rubric['id']}", json={"title": "Renamed since"})
    claimed = await people.claim("ann")
    schemas.AnnotationTaskDetail.model_validate(claimed)
    shown = claimed["questions"][0]["rubric"]
    assert (shown["version"], shown["title"]) == (1, "Good answers")
    assert [(each["title"], each["weight"]) for each in shown["criteria"]] == [("says why", 2)]
    unknown = {"name": "n", "data": [{"answer": "a"}], "tasks": [contributor_task(await people.asks(), rubric_id="r")]}
    reply = await raw.post("/v5/evaluations", json=unknown)
    assert (reply.status_code, "tasks.0.configuration.rubric_id" in reply.json()["detail"]) == (400, True)
