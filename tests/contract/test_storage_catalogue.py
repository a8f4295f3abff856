"""The contract of the catalogues, on SQLite and PostgreSQL: applications, questions, sets, evaluation configs."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.adapters.storage import SqlStorage
from assay.core.applications import VariantVersion
from assay.core.evaluation_configs import EvaluationType
from assay.core.generation import GenerationRequest, GenerationStatus
from assay.core.identity import Identity
from assay.core.paging import NumberedPage, PageRequest
from assay.core.questions import Bounds, Choice, QuestionType, Scale
from assay.ports.storage import UnitOfWork
from tests.builders.catalogue import (
    make_config,
    make_deployment,
    make_draft,
    make_instance,
    make_job,
    make_project,
    make_question,
    make_question_set,
    make_report,
    make_spec,
    make_template,
    make_variant,
)
from tests.builders.datasets import make_dataset
from tests.builders.identity import NOW, make_key, new_id

BOTH = ("default", "other")
PAGE = NumberedPage()

Maker = Callable[[UnitOfWork, dict[str, Any]], Any]


async def add_spec(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    return await work.application_specs.add(make_spec(**changes))


async def add_variant(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    spec = await work.application_specs.add(make_spec(account_id=changes.get("account_id", "default")))
    return await work.application_variants.add(make_variant(spec, **changes))


async def add_question(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    return await work.questions.add(make_question(**changes))


async def add_set(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    questions = [await work.questions.add(make_question()) for _ in range(2)]
    return await work.question_sets.add(make_question_set(*reversed(questions), **changes))


async def add_config(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    question_set = await work.question_sets.add(make_question_set(account_id=changes.get("account_id", "default")))
    return await work.evaluation_configs.add(make_config(question_set, **changes))


async def add_project(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    return await work.studio_projects.add(make_project(**changes))


async def add_template(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    return await work.model_templates.add(make_template(**changes))


async def add_instance(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    return await work.model_instances.add(make_instance(**changes))


async def add_deployment(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    instance = await work.model_instances.add(make_instance(account_id=changes.get("account_id", "default")))
    return await work.model_deployments.add(make_deployment(instance, **changes))


async def add_report(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    return await work.variant_reports.add(make_report(**changes))


async def add_job(work: UnitOfWork, changes: dict[str, Any]) -> Any:
    dataset = await work.datasets.add(make_dataset(account_id=changes.get("account_id", "default")))
    return await work.generation_jobs.add(make_job(dataset.id, **changes))


KINDS: dict[str, Maker] = {
    "application_specs": add_spec,
    "application_variants": add_variant,
    "questions": add_question,
    "question_sets": add_set,
    "evaluation_configs": add_config,
    "studio_projects": add_project,
    "model_templates": add_template,
    "model_instances": add_instance,
    "model_deployments": add_deployment,
    "variant_reports": add_report,
    "generation_jobs": add_job,
}

SAVED: dict[str, dict[str, Any]] = {
    "studio_projects": {"name": "new", "description": "d"},
    "model_templates": {"name": "new", "details": {}},
    "model_instances": {"name": "new", "details": {"model_type": "AGENT", "model_group_id": "g", "k": [1]}},
    "model_deployments": {"name": "new", "details": {"k": None}},
    "variant_reports": {"datasets": (), "output_group_ids": ("g", "h")},
    "generation_jobs": {
        "request": GenerationRequest(7),
        "status": GenerationStatus.FAILED,
        "updated_at": NOW + timedelta(1),
        "completed": 2,
        "failure_reason": "no",
    },
    "application_specs": {"name": "new", "description": "d", "run_online_evaluation": False, "theme_id": ""},
    "application_variants": {
        "name": "new",
        "version": VariantVersion.V0,
        "configuration": {"nodes": [], "edges": []},
        "description": "",
        "draft": True,
        "published_at": NOW,
        "updated_at": NOW + timedelta(1),
    },
    "questions": {"title": "new"},
    "question_sets": {"name": "new", "instructions": "", "question_ids": (), "question_id_to_config": {}},
    "evaluation_configs": {
        "evaluation_type": EvaluationType.LLM_BENCHMARK,
        "auto_evaluation_model": "m",
        "auto_evaluation_parameters": {},
        "studio_project_id": "p",
    },
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a catalogue in a unit of work."""
    return str(request.param)


async def test_a_thing_comes_back_as_it_was_added_and_saved(storage: SqlStorage, kind: str) -> None:
    async with storage.write() as work:
        added = await KINDS[kind](work, {"created_by": Identity("a service", "service_account")})
        assert added.seq > 0
        saved = replace(added, **SAVED[kind], archived_at=NOW)
        assert await getattr(work, kind).get(BOTH, added.id) == added
        await getattr(work, kind).save(saved)
    async with storage.read() as work:
        catalogue = getattr(work, kind)
        assert await catalogue.get(("default",), added.id) == saved
        assert await catalogue.get(("other",), added.id) is None
        assert await catalogue.get((), added.id) is None
        assert await catalogue.get(BOTH, "nobody's") is None
        assert await catalogue.get_many(BOTH, [added.id, "nobody's"]) == {added.id: saved}
        assert await catalogue.get_many(("other",), [added.id]) == {}
        assert await catalogue.get_many(BOTH, []) == {}


async def test_pages_are_newest_first_then_latest_added_with_exact_totals(storage: SqlStorage, kind: str) -> None:
    late = NOW + timedelta(seconds=1)
    async with storage.write() as work:
        made = [await KINDS[kind](work, {"created_at": at}) for at in (NOW, late, NOW, NOW)]
        theirs = await KINDS[kind](work, {"account_id": "other", "created_at": late + timedelta(1)})
        hidden = await KINDS[kind](work, {"archived_at": NOW, "created_at": late})
    mine = [made[1], made[3], made[2], made[0]]
    async with storage.read() as work:
        listed = getattr(work, kind).list
        sizes = [
            (tuple(page.items), page.total)
            for page in [await listed(("default",), NumberedPage(number, 3)) for number in (1, 2, 3)]
        ]
        assert sizes == [(tuple(mine[:3]), 4), (tuple(mine[3:]), 4), ((), 4)]
        assert (await listed(BOTH, PAGE)).items == [theirs, *mine]
        assert (await listed(BOTH, PAGE)).total == 5
        everything = await listed(("default",), PAGE, include_archived=True)
        assert (everything.items, everything.total) == ([hidden, *mine], 5)
        assert (await listed((), PAGE)).total == 0


async def test_variants_are_listed_by_their_spec(storage: SqlStorage) -> None:
    async with storage.write() as work:
        first, second = await add_variant(work, {}), await add_variant(work, {})
        of_first = await work.application_variants.list(BOTH, PAGE, parent_id=first.application_spec_id)
        assert (of_first.items, of_first.total) == ([first], 1)
        assert (await work.application_variants.list(BOTH, PAGE, parent_id="nobody's")).total == 0
        assert (await work.application_variants.list(BOTH, PAGE)).items == [second, first]


async def test_models_are_listed_by_type_and_group_and_their_deployments_counted(storage: SqlStorage) -> None:
    async with storage.write() as work:
        first = await add_instance(work, {"details": {"model_type": "AGENT", "model_group_id": "g"}})
        second = await add_instance(work, {"details": {"model_type": "AGENT"}})
        like = work.model_instances.like
        assert (await like(BOTH, PAGE, model_type="AGENT", group_id=None)).items == [second, first]
        assert (await like(BOTH, PAGE, model_type="AGENT", group_id="g")).items == [first]
        assert (await like(BOTH, PAGE, model_type="GENERIC", group_id=None)).total == 0
        for archived_at in (None, None, NOW):
            await work.model_deployments.add(make_deployment(first, archived_at=archived_at))
        assert await work.model_deployments.counts([first.id, second.id]) == {first.id: 2}
        assert (await work.model_deployments.list(BOTH, PAGE, parent_id=first.id)).total == 2


async def test_reports_are_listed_by_spec_and_variant(storage: SqlStorage) -> None:
    async with storage.write() as work:
        first = await add_report(work, {"spec_id": "s", "variant_id": "v"})
        second = await add_report(work, {"spec_id": "s", "variant_id": "w"})
        about = work.variant_reports.about
        assert (await about(BOTH, PAGE, spec_id="s", variant_id=None)).items == [second, first]
        assert (await about(BOTH, PAGE, spec_id="s", variant_id="v")).items == [first]
        assert (await about(("other",), PAGE, spec_id=None, variant_id=None)).total == 0


async def test_running_jobs_and_what_they_made_are_found(storage: SqlStorage) -> None:
    async with storage.write() as work:
        ended = await add_job(work, {"status": GenerationStatus.COMPLETED})
        jobs = [await add_job(work, {"account_id": account_id}) for account_id in ("other", "default")]
        assert await work.generation_jobs.running() == jobs
        dataset_id = jobs[1].dataset_id
        drafts = [
            await work.draft_test_cases.add(make_draft(dataset_id, **fields))
            for fields in (
                {"job_id": jobs[1].id, "topic": "a", "content": {"k": 1}},
                {"job_id": jobs[1].id, "archived_at": NOW},
                {"test_case_id": "t", "job_id": ended.id},
                {},
            )
        ]
        assert drafts[0] == make_draft(
            dataset_id, id=drafts[0].id, seq=drafts[0].seq, job_id=jobs[1].id, topic="a", content={"k": 1}
        )
        assert await work.draft_test_cases.of_job(jobs[1]) == drafts[:2]
        assert await work.draft_test_cases.unapproved(dataset_id) == [drafts[0].id, drafts[3].id]
        listed = await work.draft_test_cases.list(BOTH, NumberedPage(1, 2), parent_id=dataset_id)
        assert (listed.items, listed.total) == ([drafts[0], drafts[2]], 3)


async def test_every_setting_of_a_question_comes_back_and_absent_is_not_empty(storage: SqlStorage) -> None:
    full = make_question(
        type=QuestionType.CATEGORICAL,
        choices=(Choice("a", True, False), Choice("b", 1), Choice("c", 1.5), Choice("d", "1", True)),
        multi=False,
        dropdown=True,
        scale=Scale(5, "", "high"),
        bounds=Bounds(-0.5, None),
        lengths=Bounds(None, 3),
        form_schema={},
        allow_multi_timestamps=False,
        default=False,
        required=False,
        conditions=({"q": [None, 1, "ü"]}, {}),
    )
    empty = make_question(choices=(), conditions=(), default=[], form_schema={"a": 1}, bounds=Bounds())
    async with storage.write() as work:
        for question in (full, empty, make_question()):
            added = await work.questions.add(question)
            assert added == replace(question, seq=added.seq)
            if added.choices:
                assert [type(choice.value) for choice in added.choices] == [bool, int, float, str]


async def test_a_set_keeps_the_order_of_its_questions_when_it_is_saved(storage: SqlStorage) -> None:
    async with storage.write() as work:
        questions = [await work.questions.add(make_question()) for _ in range(4)]
        ids = [question.id for question in questions]
        other = await work.question_sets.add(make_question_set(*questions[:1]))
        made = await work.question_sets.add(make_question_set(*questions[:3]))
        for order in ([2, 0, 1], [3], [], [1, 3]):
            changed = replace(made, question_ids=tuple(ids[place] for place in order))
            await work.question_sets.save(changed)
            assert await work.question_sets.get(BOTH, made.id) == changed
        assert (await work.question_sets.list(BOTH, PAGE)).items == [changed, other]


async def test_two_writers_of_one_thing_lose_nothing(storage: SqlStorage) -> None:
    async with storage.write() as work:
        made = await work.application_specs.add(make_spec())

    async def change(**fields: str) -> None:
        async with storage.write() as work:
            found = await work.application_specs.get(("default",), made.id)
            assert found is not None
            await asyncio.sleep(0.05)
            await work.application_specs.save(replace(found, **fields))

    await asyncio.gather(change(name="new"), change(description="new"), change(theme_id="new"))
    async with storage.read() as work:
        found = await work.application_specs.get(("default",), made.id)
    assert found == replace(made, name="new", description="new", theme_id="new")


async def test_a_key_opens_a_further_account_last_and_once(storage: SqlStorage) -> None:
    key, other = make_key("one"), make_key("two")
    async with storage.write() as work:
        await work.api_keys.add(key)
        await work.api_keys.add(other)
        for account_id in ("other", "other", "default"):
            await work.api_keys.add_account(key.id, account_id)
    async with storage.read() as work:
        listed = {each.id: each.account_ids for each in await work.api_keys.list()}
    assert listed == {key.id: ("default", "other"), other.id: ("default",)}


async def test_texts_that_look_like_statements_are_only_texts(storage: SqlStorage) -> None:
    hostile = "'; DROP TABLE questions; --"
    async with storage.write() as work:
        added = await work.questions.add(make_question(title=hostile, prompt=hostile, default=hostile))
        assert await work.questions.get((hostile,), hostile) is None
        assert (await work.questions.list((hostile,), PAGE, include_archived=True)).total == 0
        assert await work.questions.get(BOTH, added.id) == added
        assert await work.questions.get_many(BOTH, [hostile, new_id()]) == {}


async def test_variants_are_paged_by_cursor_within_an_account(storage: SqlStorage) -> None:
    async with storage.write() as work:
        spec, other = [await work.application_specs.add(make_spec()) for _ in range(2)]
        theirs = await work.application_specs.add(make_spec(account_id="other"))
        made = [
            await work.application_variants.add(make_variant(each, name=name))
            for each, name in ((spec, "c"), (other, "a"), (spec, "b"))
        ]
        await work.application_variants.add(make_variant(theirs))
        await work.application_variants.save(replace(made[2], archived_at=NOW))

    async def ids(page: PageRequest, **more: Any) -> tuple[list[str], int, bool]:
        async with storage.read() as work:
            found = await work.application_variants.page("default", page, **more)
        return [each.name for each in found.items], found.total, found.has_more

    assert await ids(PageRequest(limit=1)) == (["c"], 2, True)
    assert await ids(PageRequest(starting_after=made[0].id)) == (["a"], 2, False)
    assert await ids(PageRequest(sort_by="name"), include_archived=True) == (["a", "b", "c"], 3, False)
    assert await ids(PageRequest(), application_spec_id=other.id) == (["a"], 1, False)
