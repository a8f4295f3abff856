"""Applications' outputs for test cases, and the interactions that led to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, insert, select

from assay.adapters.storage.output_tables import application_interactions, application_outputs
from assay.adapters.storage.session import Session, in_lists, slices
from assay.core.application_outputs import ApplicationOutput, Interaction, OutputFilter
from assay.core.identity import Identity
from assay.core.paging import NumberedPage, Slice

_output, _interaction = application_outputs.c, application_interactions.c


class SqlApplicationOutputs:
    """Implements `ports.application_storage.ApplicationOutputRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, outputs: Sequence[ApplicationOutput], interactions: Sequence[Interaction]) -> None:
        """Add outputs in order, with the interactions that they came from."""
        for some in slices(interactions):
            await self._session.run(insert(application_interactions), [_interaction_row(each) for each in some])
        for batch in slices(outputs):
            await self._session.run(insert(application_outputs), [_output_row(each) for each in batch])

    async def get(self, account_ids: Sequence[str], output_id: str) -> ApplicationOutput | None:
        """The output with that id in one of the accounts."""
        statement = select(application_outputs).where(_output.id == output_id, _output.account_id.in_(account_ids))
        rows = await self._session.rows(statement)
        return _to_output(rows[0]) if rows else None

    async def get_many(self, account_id: str, output_ids: Sequence[str]) -> Mapping[str, ApplicationOutput]:
        """Those of the outputs that are in the account, by id."""
        found: dict[str, ApplicationOutput] = {}
        for some in in_lists(list(dict.fromkeys(output_ids))):
            statement = select(application_outputs).where(_output.id.in_(some), _output.account_id == account_id)
            found.update((row.id, _to_output(row)) for row in await self._session.rows(statement))
        return found

    async def list(self, page: NumberedPage, where: OutputFilter) -> Slice[ApplicationOutput]:
        """A page of outputs, in the order in which they came."""
        members = select(application_outputs).where(*_conditions(where))
        total = int((await self._session.rows(members.with_only_columns(func.count())))[0][0])
        rows = await self._session.rows(members.order_by(_output.seq).limit(page.limit).offset(page.offset))
        return Slice([_to_output(row) for row in rows], total)

    async def newest_group(self, where: OutputFilter) -> str | None:
        """The group of the newest output that matches."""
        statement: Select[Any] = select(_output.group_id).where(*_conditions(where))
        rows = await self._session.rows(statement.order_by(_output.seq.desc()).limit(1))
        return rows[0][0] if rows else None

    async def of_group(self, account_id: str, group_id: str) -> Sequence[ApplicationOutput]:
        """A group's outputs, in the order in which they came."""
        statement = select(application_outputs).where(_output.group_id == group_id, _output.account_id == account_id)
        return [_to_output(row) for row in await self._session.rows(statement.order_by(_output.seq))]

    async def interactions(self, account_id: str, interaction_ids: Sequence[str]) -> Mapping[str, Interaction]:
        """Those of the interactions that are in the account, by id."""
        found: dict[str, Interaction] = {}
        for some in in_lists(list(dict.fromkeys(interaction_ids))):
            statement = select(application_interactions).where(
                _interaction.id.in_(some), _interaction.account_id == account_id
            )
            found.update((row.id, _to_interaction(row)) for row in await self._session.rows(statement))
        return found


def _conditions(where: OutputFilter) -> list[Any]:
    wanted = (
        (_output.group_id, where.group_id),
        (_output.application_variant_id, where.variant_id),
        (_output.dataset_id, where.dataset_id),
        (_output.dataset_version, where.dataset_version),
    )
    return [
        _output.account_id.in_(where.account_ids),
        *(column == value for column, value in wanted if value is not None),
    ]


def _output_row(output: ApplicationOutput) -> dict[str, Any]:
    return {
        "id": output.id,
        "account_id": output.account_id,
        "application_variant_id": output.variant_id,
        "dataset_id": output.dataset_id,
        "dataset_version": output.dataset_version,
        "test_case_id": output.test_case_id,
        "group_id": output.group_id,
        "schema_type": output.schema_type,
        "output": output.output,
        "metrics": output.metrics,
        "interaction_id": output.interaction_id,
        "created_at": output.created_at,
        "created_by_id": output.created_by.id,
        "created_by_type": output.created_by.type,
    }


def _to_output(row: Row[Any]) -> ApplicationOutput:
    return ApplicationOutput(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        variant_id=row.application_variant_id,
        dataset_id=row.dataset_id,
        dataset_version=row.dataset_version,
        test_case_id=row.test_case_id,
        group_id=row.group_id,
        schema_type=row.schema_type,
        output=row.output,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        metrics=row.metrics,
        interaction_id=row.interaction_id,
    )


def _interaction_row(interaction: Interaction) -> dict[str, Any]:
    return {
        "id": interaction.id,
        "account_id": interaction.account_id,
        "application_spec_id": interaction.spec_id,
        "application_variant_id": interaction.variant_id,
        "source": interaction.source,
        "thread_id": interaction.thread_id,
        "started_at": interaction.started_at,
        "duration_ms": interaction.duration_ms,
        "status": interaction.status,
        "input": interaction.input,
        "output": interaction.output,
        "metadata": interaction.metadata,
        "created_at": interaction.created_at,
        "created_by_id": interaction.created_by.id,
        "created_by_type": interaction.created_by.type,
    }


def _to_interaction(row: Row[Any]) -> Interaction:
    return Interaction(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        spec_id=row.application_spec_id,
        variant_id=row.application_variant_id,
        source=row.source,
        started_at=row.started_at,
        duration_ms=row.duration_ms,
        status=row.status,
        input=row.input,
        output=row.output,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        metadata=row.metadata,
        thread_id=row.thread_id,
    )
