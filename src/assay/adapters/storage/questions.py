"""Questions and question sets. What only some types of question have is one JSON object."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Row, delete, insert, select

from assay.adapters.storage.catalogue import SqlCatalogue, creation
from assay.adapters.storage.catalogue_tables import question_set_questions, question_sets, questions
from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.session import slices
from assay.core.paging import Page, PageRequest
from assay.core.questions import Bounds, Choice, Question, QuestionSet, QuestionType, Scale

_PLAIN = ("multi", "dropdown", "form_schema", "allow_multi_timestamps", "default")
_ORDERS = {
    "created_at": (questions.c.created_at, questions.c.seq),
    "title": (questions.c.title, questions.c.seq),
    "type": (questions.c.type, questions.c.seq),
    "id": (questions.c.id,),
}
_SHAPED: dict[str, Any] = {"scale": Scale, "bounds": Bounds, "lengths": Bounds}


def _configuration(question: Question) -> dict[str, Any]:
    given = {name: getattr(question, name) for name in (*_PLAIN, *_SHAPED, "choices")}
    kept = {name: value for name, value in given.items() if value is not None}
    for name in kept.keys() & _SHAPED.keys():
        kept[name] = asdict(kept[name])
    if "choices" in kept:
        kept["choices"] = [asdict(choice) for choice in kept["choices"]]
    return kept


class SqlQuestions(SqlCatalogue[Question]):
    """The catalogue of questions."""

    table = questions

    def _columns(self, entity: Question) -> dict[str, Any]:
        return {
            "type": entity.type.value,
            "title": entity.title,
            "prompt": entity.prompt,
            "configuration": _configuration(entity),
            "required": entity.required,
            "conditions": None if entity.conditions is None else list(entity.conditions),
        }

    def _entity(self, row: Row[Any]) -> Question:
        stored = row.configuration
        shaped = {name: shape(**stored[name]) for name, shape in _SHAPED.items() if name in stored}
        choices = stored.get("choices")
        return Question(
            **creation(row),
            type=QuestionType(row.type),
            title=row.title,
            prompt=row.prompt,
            required=row.required,
            conditions=None if row.conditions is None else tuple(row.conditions),
            choices=None if choices is None else tuple(Choice(**choice) for choice in choices),
            **{name: stored.get(name) for name in _PLAIN},
            **shaped,
        )

    async def page(
        self,
        account_id: str,
        page: PageRequest,
        *,
        ids: Sequence[str] | None = None,
        include_archived: bool = False,
    ) -> Page[Question]:
        """A page of the account's questions."""
        members = self._within([account_id])
        matches = members if include_archived else members.where(questions.c.archived_at.is_(None))
        if ids is not None:
            matches = matches.where(questions.c.id.in_(ids))
        rows, total, has_more = await page_rows(self._session, Listing(matches, members, questions.c.id, _ORDERS), page)
        return Page([self._entity(row) for row in rows], total, has_more)


class SqlQuestionSets(SqlCatalogue[QuestionSet]):
    """The catalogue of question sets."""

    table = question_sets

    def _columns(self, entity: QuestionSet) -> dict[str, Any]:
        return {
            "name": entity.name,
            "instructions": entity.instructions,
            "question_id_to_config": entity.question_id_to_config,
        }

    def _entity(self, row: Row[Any]) -> QuestionSet:
        return QuestionSet(
            **creation(row),
            name=row.name,
            question_ids=(),
            instructions=row.instructions,
            question_id_to_config=row.question_id_to_config,
        )

    async def _entities(self, rows: Sequence[Row[Any]]) -> list[QuestionSet]:
        members: dict[int, list[str]] = {row.seq: [] for row in rows}
        for some in slices(list(members)):
            statement = (
                select(question_set_questions)
                .where(question_set_questions.c.question_set_seq.in_(some))
                .order_by(question_set_questions.c.question_set_seq, question_set_questions.c.position)
            )
            for link in await self._session.rows(statement):
                members[link.question_set_seq].append(link.question_id)
        return [replace(self._entity(row), question_ids=tuple(members[row.seq])) for row in rows]

    async def _after_saving(self, seq: int, entity: QuestionSet) -> None:
        links = question_set_questions
        await self._session.run(delete(links).where(links.c.question_set_seq == seq))
        rows = [
            {"question_set_seq": seq, "position": position, "question_id": question_id}
            for position, question_id in enumerate(entity.question_ids)
        ]
        if rows:
            await self._session.run(insert(links), rows)
