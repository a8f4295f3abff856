"""Studio projects, records of models, reports about variants, generation jobs and drafts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _entity(
        "studio_projects",
        sa.Column("name", Words, nullable=False),
        sa.Column("description", Words, nullable=False),
    )
    _entity(
        "model_templates",
        sa.Column("name", Words, nullable=False),
        sa.Column("details", Document, nullable=False),
    )
    _entity(
        "model_instances",
        sa.Column("name", Words, nullable=False),
        sa.Column("model_type", Words),
        sa.Column("model_group_id", Words),
        sa.Column("details", Document, nullable=False),
    )
    _entity(
        "model_deployments",
        sa.Column("model_instance_id", Words, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("details", Document, nullable=False),
        _reference("model_deployments", "model_instance_id", "model_instances"),
    )
    op.create_index("ix_model_deployments_of_model", "model_deployments", ["model_instance_id", "created_at", "seq"])
    _entity(
        "variant_reports",
        sa.Column("application_spec_id", Words, nullable=False),
        sa.Column("application_variant_id", Words, nullable=False),
        sa.Column("datasets", Document, nullable=False),
        sa.Column("output_group_ids", Document, nullable=False),
    )
    op.create_index("ix_variant_reports_of_variant", "variant_reports", ["application_variant_id", "created_at", "seq"])
    _entity(
        "generation_jobs",
        sa.Column("dataset_id", Words, nullable=False),
        sa.Column("model", Words, nullable=False),
        sa.Column("request", Document, nullable=False),
        sa.Column("status", Words, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("failure_reason", Words),
        _reference("generation_jobs", "dataset_id", "datasets"),
    )
    op.create_index("ix_generation_jobs_of_dataset", "generation_jobs", ["dataset_id", "created_at", "seq"])
    op.create_index("ix_generation_jobs_of_status", "generation_jobs", ["status", "seq"])
    _entity(
        "draft_test_cases",
        sa.Column("dataset_id", Words, nullable=False),
        sa.Column("job_id", Words),
        sa.Column("data", Document, nullable=False),
        sa.Column("content", Document, nullable=False),
        sa.Column("topic", Words),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("test_case_id", Words),
        _reference("draft_test_cases", "dataset_id", "datasets"),
    )
    op.create_index("ix_draft_test_cases_of_dataset", "draft_test_cases", ["dataset_id", "seq"])
    op.create_index("ix_draft_test_cases_of_job", "draft_test_cases", ["job_id", "seq"])


def _entity(name: str, *columns: Any) -> None:
    op.create_table(
        name,
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", Words, nullable=False),
        sa.Column("account_id", Words, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("created_by_id", Words, nullable=False),
        sa.Column("created_by_type", Words, nullable=False),
        sa.Column("archived_at", Moment),
        *columns,
        sa.PrimaryKeyConstraint("seq", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{name}_account_id"),
        sa.UniqueConstraint("id", name=f"uq_{name}_id"),
    )
    op.create_index(f"ix_{name}_by_creation", name, ["account_id", "created_at", "seq"])


def _reference(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}")


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
