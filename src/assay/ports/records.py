"""Where studio projects, records of models and reports about variants are kept, beside what every catalogue does."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from assay.core.model_records import ModelDeployment, ModelInstance
from assay.core.paging import NumberedPage, Slice
from assay.core.variant_reports import VariantReport
from assay.ports.catalogue import Catalogue


class InstanceCatalogue(Catalogue[ModelInstance], Protocol):
    """The models. Their details' `model_type` and `model_group_id` can be asked for."""

    async def like(
        self, account_ids: Sequence[str], page: NumberedPage, *, model_type: str | None, group_id: str | None
    ) -> Slice[ModelInstance]:
        """A page of the models that are not archived, of a type and in a group where they are named, newest first."""
        ...


class DeploymentCatalogue(Catalogue[ModelDeployment], Protocol):
    """The deployments; a deployment's parent is its model."""

    async def counts(self, instance_ids: Sequence[str]) -> Mapping[str, int]:
        """How many deployments, deleted ones left out, each of the models has that has any."""
        ...


class ReportCatalogue(Catalogue[VariantReport], Protocol):
    """The reports; a report's parent is its variant."""

    async def about(
        self, account_ids: Sequence[str], page: NumberedPage, *, spec_id: str | None, variant_id: str | None
    ) -> Slice[VariantReport]:
        """A page of the reports about a spec's variants or a variant, where they are named, newest first."""
        ...
