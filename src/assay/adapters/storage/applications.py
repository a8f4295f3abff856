"""Application specs, application variants and evaluation configs."""

from typing import Any

from sqlalchemy import Row

from assay.adapters.storage.catalogue import SqlCatalogue, creation
from assay.adapters.storage.catalogue_tables import application_specs, application_variants, evaluation_configs
from assay.adapters.storage.paging import Listing, page_rows
from assay.core.applications import ApplicationSpec, ApplicationVariant, VariantVersion
from assay.core.evaluation_configs import EvaluationConfig, EvaluationType
from assay.core.paging import Page, PageRequest

_VARIANT_ORDERS = {
    "created_at": (application_variants.c.created_at, application_variants.c.seq),
    "name": (application_variants.c.name, application_variants.c.seq),
    "id": (application_variants.c.id,),
}


class SqlApplicationSpecs(SqlCatalogue[ApplicationSpec]):
    """The catalogue of application specs."""

    table = application_specs

    def _columns(self, entity: ApplicationSpec) -> dict[str, Any]:
        return {
            "name": entity.name,
            "description": entity.description,
            "run_online_evaluation": entity.run_online_evaluation,
            "theme_id": entity.theme_id,
        }

    def _entity(self, row: Row[Any]) -> ApplicationSpec:
        return ApplicationSpec(
            **creation(row),
            name=row.name,
            description=row.description,
            run_online_evaluation=row.run_online_evaluation,
            theme_id=row.theme_id,
        )


class SqlApplicationVariants(SqlCatalogue[ApplicationVariant]):
    """The catalogue of application variants; a variant's parent is its spec."""

    table = application_variants
    parent = application_variants.c.application_spec_id

    def _columns(self, entity: ApplicationVariant) -> dict[str, Any]:
        return {
            "application_spec_id": entity.application_spec_id,
            "name": entity.name,
            "version": entity.version.value,
            "configuration": entity.configuration,
            "description": entity.description,
            "draft": entity.draft,
            "published_at": entity.published_at,
            "updated_at": entity.updated_at,
        }

    def _entity(self, row: Row[Any]) -> ApplicationVariant:
        return ApplicationVariant(
            **creation(row),
            application_spec_id=row.application_spec_id,
            name=row.name,
            version=VariantVersion(row.version),
            configuration=row.configuration,
            description=row.description,
            draft=row.draft,
            published_at=row.published_at,
            updated_at=row.updated_at,
        )

    async def page(
        self,
        account_id: str,
        page: PageRequest,
        *,
        include_archived: bool = False,
        application_spec_id: str | None = None,
    ) -> Page[ApplicationVariant]:
        """A page of the account's variants."""
        variants = application_variants.c
        matches = members = self._within([account_id])
        if not include_archived:
            matches = matches.where(variants.archived_at.is_(None))
        if application_spec_id is not None:
            matches = matches.where(variants.application_spec_id == application_spec_id)
        rows, total, has_more = await page_rows(
            self._session, Listing(matches, members, variants.id, _VARIANT_ORDERS), page
        )
        return Page([self._entity(row) for row in rows], total, has_more)


class SqlEvaluationConfigs(SqlCatalogue[EvaluationConfig]):
    """The catalogue of evaluation configs."""

    table = evaluation_configs

    def _columns(self, entity: EvaluationConfig) -> dict[str, Any]:
        return {
            "question_set_id": entity.question_set_id,
            "evaluation_type": entity.evaluation_type.value,
            "auto_evaluation_model": entity.auto_evaluation_model,
            "auto_evaluation_parameters": entity.auto_evaluation_parameters,
            "studio_project_id": entity.studio_project_id,
        }

    def _entity(self, row: Row[Any]) -> EvaluationConfig:
        return EvaluationConfig(
            **creation(row),
            question_set_id=row.question_set_id,
            evaluation_type=EvaluationType(row.evaluation_type),
            auto_evaluation_model=row.auto_evaluation_model,
            auto_evaluation_parameters=row.auto_evaluation_parameters,
            studio_project_id=row.studio_project_id,
        )
