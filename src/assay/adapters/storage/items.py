"""Items of evaluations, with their results."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, bindparam, exists, select, text, update

from assay.adapters.storage.codec import dump_json, is_storable
from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.results import results_of
from assay.adapters.storage.session import Session, slices
from assay.adapters.storage.tables import evaluations, items, results
from assay.core.errors import InvalidInput
from assay.core.evaluations import Evaluation, Item
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.core.results import Result
from assay.ports.storage import NewItem

_BOUNDS = text(
    "SELECT MIN(seq), MAX(seq) FROM ("
    "SELECT seq, (ROW_NUMBER() OVER (ORDER BY seq) - 1) / :size AS chunk FROM items WHERE evaluation_seq = :evaluation"
    ") AS numbered GROUP BY chunk ORDER BY chunk"
)

_DATA = select(items.c.data).where(items.c.seq == bindparam("seq"))


class SqlItems:
    """Implements `ports.storage.ItemRepository`.

    An item is as old as its evaluation, so `created_at` and `created_by` are read there. Of equally old items
    of different evaluations, those of the evaluation that was added first come first.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, evaluation: Evaluation, items: Sequence[NewItem]) -> None:
        """Add rows in order."""
        if items:
            await self._session.add_items([_to_row(evaluation.seq, item) for item in items])

    async def get(self, account_id: str, item_id: str, *, include_archived: bool = False) -> Item | None:
        """The account's item with that id, with its results."""
        statement = (
            select(items)
            .join(evaluations, evaluations.c.seq == items.c.evaluation_seq)
            .where(items.c.id == item_id, evaluations.c.account_id == account_id)
        )
        if not include_archived:
            statement = statement.where(items.c.archived_at.is_(None))
        found = await self._with_results(await self._session.rows(statement))
        return found[0] if found else None

    async def list(
        self,
        account_id: str,
        page: PageRequest,
        *,
        evaluation_id: str | None = None,
        completion: Literal["failed", "passed"] | None = None,
        include_archived: bool = False,
    ) -> Page[Item]:
        """A page of an evaluation's items, or of all the account's, with their results."""
        members = await self._members(account_id, evaluation_id)
        if members is None:
            return await self._empty(page)
        matches = members
        if not include_archived:
            matches = matches.where(items.c.archived_at.is_(None))
        if completion is not None:
            errored = exists().where(
                results.c.evaluation_seq == items.c.evaluation_seq,
                results.c.item_seq == items.c.seq,
                results.c.status == "errored",
            )
            matches = matches.where(errored if completion == "failed" else ~errored)
        orders = {
            "created_at": (items.c.seq,)
            if evaluation_id is not None
            else (evaluations.c.created_at, evaluations.c.seq, items.c.seq),
            "id": (items.c.id,),
        }
        rows, total, has_more = await page_rows(self._session, Listing(matches, members, items.c.id, orders), page)
        return Page(await self._with_results(rows), total, has_more)

    async def _members(self, account_id: str, evaluation_id: str | None) -> Select[Any] | None:
        if evaluation_id is None:
            joined = items.join(evaluations, evaluations.c.seq == items.c.evaluation_seq)
            return select(items).select_from(joined).where(evaluations.c.account_id == account_id)
        found = await self._session.rows(
            select(evaluations.c.seq).where(evaluations.c.id == evaluation_id, evaluations.c.account_id == account_id)
        )
        return select(items).where(items.c.evaluation_seq == found[0][0]) if found else None

    async def _empty(self, page: PageRequest) -> Page[Item]:
        none = select(items).where(items.c.evaluation_seq < 0)
        orders = {"created_at": (items.c.seq,), "id": (items.c.id,)}
        _, total, has_more = await page_rows(self._session, Listing(none, none, items.c.id, orders), page)
        return Page([], total, has_more)

    async def data(self, item_seq: int) -> Mapping[str, Any]:
        """An item's own values, without results."""
        found = await self._session.rows(_DATA, {"seq": item_seq})
        return found[0][0] if found else {}

    async def seqs(self, evaluation_seq: int) -> Sequence[int]:
        """The sequence numbers of all items in order, archived ones too."""
        statement = select(items.c.seq).where(items.c.evaluation_seq == evaluation_seq).order_by(items.c.seq)
        return [row[0] for row in await self._session.rows(statement)]

    async def bounds(self, evaluation_seq: int, chunk_size: int) -> Sequence[tuple[int, int]]:
        """(first_seq, last_seq) of consecutive runs of at most chunk_size items, in order."""
        rows = await self._session.rows(_BOUNDS, {"evaluation": evaluation_seq, "size": chunk_size})
        return [(first, last) for first, last in rows]

    async def range(self, evaluation_seq: int, first_seq: int, last_seq: int) -> Sequence[Item]:
        """The items of an evaluation in a seq range, in order, with their results."""
        statement = (
            select(items)
            .where(items.c.evaluation_seq == evaluation_seq, items.c.seq.between(first_seq, last_seq))
            .order_by(items.c.seq)
        )
        return await self._with_results(await self._session.rows(statement))

    async def stream(
        self, evaluation_seq: int, *, include_archived: bool = False, batch: int = 1000
    ) -> AsyncIterator[Sequence[Item]]:
        """All items in order, in batches, with their results."""
        statement = select(items).where(items.c.evaluation_seq == evaluation_seq)
        if not include_archived:
            statement = statement.where(items.c.archived_at.is_(None))
        statement = statement.order_by(items.c.seq).limit(batch)
        last = -1
        while True:
            rows = await self._session.rows(statement.where(items.c.seq > last))
            if rows:
                last = rows[-1].seq
                yield await self._with_results(rows)
            if len(rows) < batch:
                return

    async def set_archived(self, evaluation_seq: int, at: datetime | None, *, only_at: datetime | None = None) -> None:
        """Archive the items that are not archived, or (at None) restore those archived at `only_at`."""
        statement = update(items).where(items.c.evaluation_seq == evaluation_seq)
        if at is not None:
            statement = statement.where(items.c.archived_at.is_(None))
        elif only_at is not None:
            statement = statement.where(items.c.archived_at == only_at)
        await self._session.run(statement.values(archived_at=at))

    async def _with_results(self, rows: Sequence[Any]) -> Sequence[Item]:
        by_evaluation: dict[int, list[int]] = {}
        for row in rows:
            by_evaluation.setdefault(row[2], []).append(row[0])
        owners = await self._owners(list(by_evaluation))
        found: dict[int, Mapping[str, Result]] = {}
        for evaluation_seq, seqs in by_evaluation.items():
            found.update(await results_of(self._session, evaluation_seq, sorted(seqs)))
        made = []
        for seq, item_id, evaluation_seq, data, files, dataset_item_id, version, archived_at in rows:
            evaluation_id, created_at, created_by = owners[evaluation_seq]
            made.append(
                Item(
                    item_id,
                    seq,
                    evaluation_id,
                    evaluation_seq,
                    data,
                    files,
                    created_at,
                    created_by,
                    archived_at,
                    dataset_item_id,
                    version,
                    found.get(seq) or {},
                )
            )
        return made

    async def _owners(self, evaluation_seqs: Sequence[int]) -> dict[int, tuple[str, datetime, Identity]]:
        wanted = evaluations.c
        owners = {}
        for some in slices(evaluation_seqs):
            statement = select(
                wanted.seq, wanted.id, wanted.created_at, wanted.created_by_id, wanted.created_by_type
            ).where(wanted.seq.in_(some))
            for seq, evaluation_id, created_at, identity_id, identity_type in await self._session.rows(statement):
                owners[seq] = (evaluation_id, created_at, Identity(identity_id, identity_type))
        return owners


def _to_row(evaluation_seq: int, item: NewItem) -> tuple[Any, ...]:
    """A row of `dialects.ITEM_COLUMNS`."""
    if not is_storable(item.id):
        raise InvalidInput.at(("id",), "text may not hold NUL characters or lone surrogates")
    return (
        item.id,
        evaluation_seq,
        dump_json(item.data),
        None if item.files is None else dump_json(item.files),
        item.dataset_item_id,
        item.dataset_item_version_num,
    )
