"""Studio projects, records of models, and reports about variants."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func

from assay.adapters.storage.catalogue import SqlCatalogue, creation
from assay.adapters.storage.record_tables import (
    model_deployments,
    model_instances,
    model_templates,
    studio_projects,
    variant_reports,
)
from assay.adapters.storage.session import in_lists
from assay.core.model_records import ModelDeployment, ModelInstance, ModelTemplate
from assay.core.paging import NumberedPage, Slice
from assay.core.studio_projects import StudioProject
from assay.core.variant_reports import VariantReport


class SqlStudioProjects(SqlCatalogue[StudioProject]):
    """The catalogue of studio projects."""

    table = studio_projects

    def _columns(self, entity: StudioProject) -> dict[str, Any]:
        return {"name": entity.name, "description": entity.description}

    def _entity(self, row: Row[Any]) -> StudioProject:
        return StudioProject(**creation(row), name=row.name, description=row.description)


class SqlModelTemplates(SqlCatalogue[ModelTemplate]):
    """The catalogue of model templates."""

    table = model_templates

    def _columns(self, entity: ModelTemplate) -> dict[str, Any]:
        return {"name": entity.name, "details": entity.details}

    def _entity(self, row: Row[Any]) -> ModelTemplate:
        return ModelTemplate(**creation(row), name=row.name, details=row.details)


class SqlModelInstances(SqlCatalogue[ModelInstance]):
    """The catalogue of models."""

    table = model_instances

    def _columns(self, entity: ModelInstance) -> dict[str, Any]:
        return {
            "name": entity.name,
            "model_type": entity.details.get("model_type"),
            "model_group_id": entity.details.get("model_group_id"),
            "details": entity.details,
        }

    def _entity(self, row: Row[Any]) -> ModelInstance:
        return ModelInstance(**creation(row), name=row.name, details=row.details)

    async def like(
        self, account_ids: Sequence[str], page: NumberedPage, *, model_type: str | None, group_id: str | None
    ) -> Slice[ModelInstance]:
        """A page of the models of a type and in a group, where they are named, newest first."""
        matches = self._within(account_ids).where(model_instances.c.archived_at.is_(None))
        if model_type is not None:
            matches = matches.where(model_instances.c.model_type == model_type)
        if group_id is not None:
            matches = matches.where(model_instances.c.model_group_id == group_id)
        return await self._page(matches, page)


class SqlModelDeployments(SqlCatalogue[ModelDeployment]):
    """The catalogue of deployments; a deployment's parent is its model."""

    table = model_deployments
    parent = model_deployments.c.model_instance_id

    def _columns(self, entity: ModelDeployment) -> dict[str, Any]:
        return {"model_instance_id": entity.instance_id, "name": entity.name, "details": entity.details}

    def _entity(self, row: Row[Any]) -> ModelDeployment:
        return ModelDeployment(**creation(row), instance_id=row.model_instance_id, name=row.name, details=row.details)

    async def counts(self, instance_ids: Sequence[str]) -> Mapping[str, int]:
        """How many deployments each of the models has that has any."""
        column = model_deployments.c.model_instance_id
        found: dict[str, int] = {}
        for some in in_lists(list(dict.fromkeys(instance_ids))):
            shown = self._shown().where(column.in_(some))
            counted = shown.with_only_columns(column, func.count()).group_by(column)
            found.update((row[0], row[1]) for row in await self._session.rows(counted))
        return found


class SqlVariantReports(SqlCatalogue[VariantReport]):
    """The catalogue of reports; a report's parent is its variant."""

    table = variant_reports
    parent = variant_reports.c.application_variant_id

    def _columns(self, entity: VariantReport) -> dict[str, Any]:
        return {
            "application_spec_id": entity.spec_id,
            "application_variant_id": entity.variant_id,
            "datasets": [list(each) for each in entity.datasets],
            "output_group_ids": list(entity.output_group_ids),
        }

    def _entity(self, row: Row[Any]) -> VariantReport:
        return VariantReport(
            **creation(row),
            spec_id=row.application_spec_id,
            variant_id=row.application_variant_id,
            datasets=tuple((dataset_id, num) for dataset_id, num in row.datasets),
            output_group_ids=tuple(row.output_group_ids),
        )

    async def about(
        self, account_ids: Sequence[str], page: NumberedPage, *, spec_id: str | None, variant_id: str | None
    ) -> Slice[VariantReport]:
        """A page of the reports about a spec's variants or a variant, newest first."""
        matches = self._within(account_ids).where(variant_reports.c.archived_at.is_(None))
        if spec_id is not None:
            matches = matches.where(variant_reports.c.application_spec_id == spec_id)
        if variant_id is not None:
            matches = matches.where(variant_reports.c.application_variant_id == variant_id)
        return await self._page(matches, page)
