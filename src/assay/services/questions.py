"""Questions and question sets: made, changed in what may change, archived and restored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uuid_utils

from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Page, PageRequest, Slice
from assay.core.questions import Bounds, Choice, Question, QuestionSet, QuestionType, Scale, question_problems
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.catalogue import archive, find, restore, unarchived


@dataclass(frozen=True, slots=True)
class NewQuestion:
    """A question to make; the fields are those of `core.questions.Question`."""

    type: QuestionType
    title: str
    prompt: str
    choices: tuple[Choice, ...] | None = None
    multi: bool | None = None
    dropdown: bool | None = None
    scale: Scale | None = None
    bounds: Bounds | None = None
    lengths: Bounds | None = None
    form_schema: Mapping[str, Any] | None = None
    allow_multi_timestamps: bool | None = None
    default: Any = None
    required: bool | None = None
    conditions: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class NewQuestionSet:
    """A question set to make, of questions in the same account."""

    name: str
    question_ids: tuple[str, ...]
    instructions: str | None = None
    question_id_to_config: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class FilledQuestionSet:
    """A question set with its questions, in its order."""

    question_set: QuestionSet
    questions: tuple[Question, ...]


class InvalidQuestion(InvalidInput):
    """A question that cannot be asked. `faults` are its problems with the attribute that each is in, so that a
    version of the API can say them in its own words."""

    def __init__(self, faults: Sequence[tuple[str, Problem]]) -> None:
        self.faults = tuple(faults)
        super().__init__([replace(problem, loc=("body", name, *problem.loc)) for name, problem in faults])


class Questions:
    """The use cases of questions. What a question asks never changes once it is made; what it is called may."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewQuestion) -> Question:
        """Make a question in the caller's account. Raises InvalidQuestion."""
        question = Question(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            created_at=self._clock.now(),
            created_by=caller.identity,
            **{name: getattr(new, name) for name in NewQuestion.__dataclass_fields__},
        )
        if faults := list(question_problems(question)):
            raise InvalidQuestion(faults)
        async with self._storage.write() as work:
            return await work.questions.add(question)

    async def get(self, caller: Caller, question_id: str) -> Question:
        """One question in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await find(work.questions, Question, caller, question_id)

    async def list(
        self, account_ids: Sequence[str], page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[Question]:
        """A page of the accounts' questions, newest first."""
        async with self._storage.read() as work:
            return await work.questions.list(account_ids, page, include_archived=include_archived)

    async def page(
        self, caller: Caller, page: PageRequest, *, ids: Sequence[str] | None = None, include_archived: bool = False
    ) -> Page[Question]:
        """A page of the account's questions by cursor; `ids`: only those of them."""
        async with self._storage.read() as work:
            return await work.questions.page(caller.account_id, page, ids=ids, include_archived=include_archived)

    async def rename(self, caller: Caller, question_id: str, title: str) -> Question:
        """Call a question something else. Raises NotFound, and RuleViolation for an archived one."""
        async with self._storage.write() as work:
            found = unarchived(await find(work.questions, Question, caller, question_id))
            renamed = replace(found, title=title)
            await work.questions.save(renamed)
        return renamed

    async def archive(self, caller: Caller, question_id: str) -> Question:
        """Hide a question from lists; what refers to it keeps it. Nothing to do when it is hidden. Raises
        NotFound."""
        async with self._storage.write() as work:
            await archive(work.questions, Question, caller, question_id, self._clock.now())
            return await find(work.questions, Question, caller, question_id)

    async def restore(self, caller: Caller, question_id: str) -> Question:
        """Show an archived question in lists again; nothing to do when it is shown. Raises NotFound."""
        async with self._storage.write() as work:
            return await restore(work.questions, Question, caller, question_id)


class QuestionSets:
    """The use cases of question sets."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewQuestionSet) -> QuestionSet:
        """Make a question set in the caller's account.

        Raises InvalidInput for a question named twice or a config of one that is not in the set, NotFound for a
        question that is not in the account, RuleViolation for an archived one.
        """
        strangers = [each for each in new.question_id_to_config or {} if each not in new.question_ids]
        if strangers:
            message = "no such question in question_ids"
            raise InvalidInput([Problem(("body", "question_id_to_config", each), message) for each in strangers])
        question_set = QuestionSet(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            name=new.name,
            question_ids=new.question_ids,
            created_at=self._clock.now(),
            created_by=caller.identity,
            instructions=new.instructions,
            question_id_to_config=new.question_id_to_config,
        )
        async with self._storage.write() as work:
            await _check_questions(work, caller.account_id, new.question_ids)
            return await work.question_sets.add(question_set)

    async def get(self, caller: Caller, question_set_id: str) -> FilledQuestionSet:
        """One question set in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            found = await find(work.question_sets, QuestionSet, caller, question_set_id)
            return (await fill(work, [found]))[0]

    async def list(
        self,
        account_ids: Sequence[str],
        page: NumberedPage,
        *,
        include_archived: bool = False,
        with_questions: bool = False,
    ) -> Slice[FilledQuestionSet]:
        """A page of the accounts' question sets, newest first; without their questions unless asked for."""
        async with self._storage.read() as work:
            found = await work.question_sets.list(account_ids, page, include_archived=include_archived)
            if with_questions:
                return Slice(await fill(work, found.items), found.total)
        return Slice([FilledQuestionSet(each, ()) for each in found.items], found.total)

    async def update(self, caller: Caller, question_set_id: str, changes: Mapping[str, Any]) -> QuestionSet:
        """Change the fields named in `changes`: name, instructions, question_ids (all of them).

        Raises NotFound, RuleViolation for an archived one, and for questions as `create` does.
        """
        async with self._storage.write() as work:
            found = unarchived(await find(work.question_sets, QuestionSet, caller, question_set_id))
            question_set = replace(found, **changes)
            if "question_ids" in changes:
                await _check_questions(work, found.account_id, question_set.question_ids, found.question_ids)
            await work.question_sets.save(question_set)
        return question_set

    async def restore(self, caller: Caller, question_set_id: str) -> QuestionSet:
        """Show an archived question set again. Raises NotFound."""
        async with self._storage.write() as work:
            return await restore(work.question_sets, QuestionSet, caller, question_set_id)

    async def archive(self, caller: Caller, question_set_id: str) -> bool:
        """Hide a question set; configs that use it stay. Whether it was not hidden yet. Raises NotFound."""
        async with self._storage.write() as work:
            return await archive(work.question_sets, QuestionSet, caller, question_set_id, self._clock.now())


async def fill(work: UnitOfWork, question_sets: Sequence[QuestionSet]) -> list[FilledQuestionSet]:
    """Question sets with their questions, read in one go."""
    accounts = list({each.account_id for each in question_sets})
    wanted = list(dict.fromkeys(question_id for each in question_sets for question_id in each.question_ids))
    found = await work.questions.get_many(accounts, wanted)
    return [
        FilledQuestionSet(each, tuple(found[question_id] for question_id in each.question_ids))
        for each in question_sets
    ]


async def _check_questions(
    work: UnitOfWork, account_id: str, question_ids: Sequence[str], known: Sequence[str] = ()
) -> None:
    """Raise for questions that a set may not have; those that it has already may be archived by now."""
    for index, question_id in enumerate(question_ids):
        if question_id in question_ids[:index]:
            raise InvalidInput.at(("body", "question_ids", index), "this question is named twice", type="duplicate")
    found = await work.questions.get_many((account_id,), question_ids)
    for question_id in question_ids:
        if question_id not in found:
            raise NotFound("question", question_id)
        if found[question_id].archived_at is not None and question_id not in known:
            raise RuleViolation(f"question_ids: question {question_id} is archived; restore it first")
