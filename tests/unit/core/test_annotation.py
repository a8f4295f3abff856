"""The rules by which annotation tasks change their state, and who may do which."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.annotation import (
    AnnotationKind,
    AnnotationStatus,
    AnnotationTask,
    Verdict,
    Work,
    all_answered,
    answered,
    answers_of,
    assigned,
    audited,
    check_holder,
    drafted,
    leased,
    may_work,
    reinstated,
    released,
    sent_back,
    with_changes,
)
from assay.core.errors import AssayError, Forbidden, RuleViolation
from tests.builders.annotation import by_id, make_tasks
from tests.builders.identity import NOW

PENDING, REDO = AnnotationStatus.PENDING, AnnotationStatus.PENDING_REDO
DONE, FIXED, WAITING = AnnotationStatus.COMPLETED, AnnotationStatus.FIXED, AnnotationStatus.NOT_READY


def named(tasks: list[AnnotationTask], task_id: str) -> AnnotationTask:
    return next(task for task in tasks if task.id == task_id)


def after_answer(
    tasks: list[AnnotationTask], task_id: str = "a0", by: str = "ann", **said: object
) -> list[AnnotationTask]:
    work = Work(by, NOW, **{"answers": {"x": 1}, **said})  # type: ignore[arg-type]
    return with_changes(tasks, answered(named(tasks, task_id), tasks, work))


def after_audit(
    tasks: list[AnnotationTask], task_id: str, verdict: Verdict, by: str = "bob", **said: object
) -> list[AnnotationTask]:
    work = Work(by, NOW, **said)  # type: ignore[arg-type]
    return with_changes(tasks, audited(named(tasks, task_id), tasks, verdict, work))


def test_the_audits_of_a_kind_are_of_the_same_family() -> None:
    assert AnnotationKind.EVALUATION_ANNOTATION.audit is AnnotationKind.EVALUATION_AUDIT
    assert AnnotationKind.CONTRIBUTOR_ANNOTATION.audit is AnnotationKind.CONTRIBUTOR_AUDIT
    assert [kind.is_audit for kind in AnnotationKind] == [False, True, False, True]


def test_an_answer_makes_only_its_own_first_audit_ready() -> None:
    tasks = after_answer(make_tasks(2, 2), duration_seconds=9, flagged=True)
    assert by_id(tasks) == {"a0": DONE, "a1": PENDING, "b0": PENDING, "c0": WAITING, "b1": WAITING, "c1": WAITING}
    done = named(tasks, "a0")
    assert (done.assigned_to, done.completed_at, done.duration_seconds, done.flagged) == ("ann", NOW, 9, True)
    assert not all_answered(tasks)
    assert all_answered(after_answer(tasks, "a1", "bob"))


def test_each_level_of_audit_makes_the_next_ready() -> None:
    tasks = after_audit(after_answer(make_tasks(1, 2)), "b0", Verdict.APPROVE)
    assert by_id(tasks) == {"a0": DONE, "b0": DONE, "c0": PENDING}
    tasks = after_audit(tasks, "c0", Verdict.FIX, "cid", answers={"x": 3})
    assert by_id(tasks) == {"a0": DONE, "b0": DONE, "c0": FIXED}
    assert answers_of(tasks[0], tasks) == {"x": 3}
    assert tasks[0].answers == {"x": 1}, "what was said stays what was said"


def test_the_higher_audit_has_the_last_word() -> None:
    tasks = after_answer(make_tasks(1, 2), answers={"x": 1, "y": 1, "z": 1})
    tasks = after_audit(tasks, "b0", Verdict.FIX, answers={"x": 2, "y": 2})
    tasks = after_audit(tasks, "c0", Verdict.FIX, "cid", answers={"x": 3})
    assert answers_of(tasks[0], tasks) == {"x": 3, "y": 2, "z": 1}


def test_an_answer_sent_back_is_for_its_author_and_its_audits_wait() -> None:
    tasks = after_audit(after_answer(make_tasks(1, 2)), "b0", Verdict.FIX, answers={"x": 2})
    tasks = after_audit(tasks, "c0", Verdict.REDO, "cid", comment="look again")
    assert by_id(tasks) == {"a0": REDO, "b0": WAITING, "c0": WAITING}
    again, first, second = tasks
    assert (again.assigned_to, again.reserved, again.comment, again.completed_at) == ("ann", True, "look again", None)
    assert (first.assigned_to, first.answers, second.assigned_to) == (None, None, None)
    assert answers_of(again, tasks) == {"x": 1}, "a fix of an answer sent back is gone"
    tasks = after_answer(tasks, answers={"x": 5})
    assert by_id(tasks) == {"a0": DONE, "b0": PENDING, "c0": WAITING}


@pytest.mark.parametrize("status", [WAITING, DONE, FIXED])
def test_only_an_open_task_is_answered_or_audited(status: AnnotationStatus) -> None:
    tasks = [replace(task, status=status) for task in make_tasks(1, 1)]
    with pytest.raises(RuleViolation, match=status):
        answered(tasks[0], tasks, Work("ann", NOW, {}))
    with pytest.raises(RuleViolation, match=status):
        audited(tasks[1], tasks, Verdict.APPROVE, Work("bob", NOW))


def test_only_a_done_answer_is_sent_back() -> None:
    tasks = make_tasks(1, 1)
    with pytest.raises(RuleViolation, match="no answer yet"):
        sent_back(tasks[0], tasks, NOW)
    with pytest.raises(RuleViolation, match="an audit"):
        sent_back(tasks[1], tasks, NOW)


def test_an_answer_an_item_and_another_person() -> None:
    tasks = after_answer(make_tasks(2, 2))
    assert "another task of this item" in str(may_work(named(tasks, "a1"), tasks, "ann"))
    assert "different people" in str(may_work(named(tasks, "b0"), tasks, "ann"))
    assert may_work(named(tasks, "a1"), tasks, "bob") is None
    assert may_work(named(tasks, "b0"), tasks, "bob") is None
    tasks = after_audit(tasks, "b0", Verdict.APPROVE)
    assert may_work(named(tasks, "a1"), tasks, "bob") is not None, "bob has seen an answer"
    assert may_work(named(tasks, "c0"), tasks, "bob") is not None, "one audit a person"
    assert may_work(named(tasks, "b1"), tasks, "bob") is None, "of the same level"
    assert may_work(named(tasks, "c0"), tasks, "cid") is None


def test_only_the_holder_works_on_a_task_and_not_without_having_claimed_it() -> None:
    (task,) = make_tasks()
    with pytest.raises(Forbidden, match="claim it first"):
        check_holder(task, "ann")
    held = leased(task, "ann", NOW + timedelta(1), NOW)
    check_holder(held, "ann")
    with pytest.raises(Forbidden, match="somebody else"):
        check_holder(held, "bob")
    with pytest.raises(RuleViolation):
        check_holder(replace(held, status=DONE), "ann")


def test_a_released_task_is_everybodys_unless_it_is_reserved() -> None:
    (task,) = make_tasks()
    held = leased(task, "ann", NOW + timedelta(1), NOW)
    assert released(held, NOW) == task
    reserved = replace(held, reserved=True)
    assert (released(reserved, NOW).assigned_to, released(reserved, NOW).lease_until) == ("ann", None)


def test_a_task_that_is_done_is_not_reassigned() -> None:
    tasks = after_answer(make_tasks(2))
    with pytest.raises(RuleViolation, match="cannot be reassigned"):
        assigned(tasks[0], tasks, "bob", NOW)
    with pytest.raises(RuleViolation, match="another task of this item"):
        assigned(tasks[1], tasks, "ann", NOW)
    given_to = assigned(tasks[1], tasks, "bob", NOW)
    assert (given_to.assigned_to, given_to.reserved) == ("bob", True)
    assert assigned(given_to, tasks, None, NOW) == replace(tasks[1], updated_at=NOW)


def test_a_draft_keeps_a_task_open() -> None:
    (task,) = make_tasks(assigned_to="ann")
    kept = drafted(task, Work("ann", NOW, {"x": 1}, duration_seconds=3))
    assert (kept.status, kept.answers, kept.duration_seconds) == (PENDING, {"x": 1}, 3)


def test_an_answer_sent_back_can_count_as_it_was() -> None:
    tasks = after_answer(make_tasks(1, 1))
    tasks = with_changes(tasks, sent_back(tasks[0], tasks, NOW))
    tasks = with_changes(tasks, reinstated(tasks[0], tasks, NOW))
    assert by_id(tasks) == {"a0": DONE, "b0": PENDING}
    assert reinstated(tasks[0], tasks, NOW) == []
    with pytest.raises(RuleViolation, match="nobody's"):
        reinstated(tasks[1], tasks, NOW)
    with pytest.raises(RuleViolation, match="no answer"):
        reinstated(make_tasks()[0], make_tasks(), NOW)


moves = st.lists(st.tuples(st.sampled_from(["answer", "approve", "fix", "redo"]), st.integers(0, 5)), max_size=30)


@given(moves)
def test_whatever_happens_audits_follow_answers_and_levels_follow_each_other(
    steps: list[tuple[str, int]],
) -> None:
    tasks = make_tasks(2, 2)
    for number, (move, index) in enumerate(steps):
        task = tasks[index]
        work = Work(f"p{number}", NOW, {"x": number})
        try:
            if move == "answer" and task.level == 0:
                tasks = with_changes(tasks, answered(task, tasks, work))
            elif task.level:
                tasks = with_changes(tasks, audited(task, tasks, Verdict(move), work))
        except (AssayError, ValueError):
            continue
        for each in tasks:
            assert (each.completed_at is not None) == each.is_done
            if each.level and each.status is not WAITING:
                below = next(one for one in tasks if one.slot == each.slot and one.level == each.level - 1)
                assert below.is_done
