"""Applications' outputs and interactions; how far the engine is with each labelled result."""

import sqlalchemy as sa
from alembic import op

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and add the columns. What is labelled already waits for no engine."""
    op.create_table(
        "application_interactions",
        sa.Column("seq", SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("account_id", Words, nullable=False),
        sa.Column("application_spec_id", Words, nullable=False),
        sa.Column("application_variant_id", Words, nullable=False),
        sa.Column("source", Words, nullable=False),
        sa.Column("thread_id", Words),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("status", Words, nullable=False),
        sa.Column("input", Document, nullable=False),
        sa.Column("output", Document, nullable=False),
        sa.Column("metadata", Document),
        *_creation(),
        sa.UniqueConstraint("id", name="uq_application_interactions_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_application_interactions_account_id"),
        sa.PrimaryKeyConstraint("seq", name="pk_application_interactions"),
    )
    op.create_table(
        "application_outputs",
        sa.Column("seq", SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("account_id", Words, nullable=False),
        sa.Column("application_variant_id", Words, nullable=False),
        sa.Column("dataset_id", Words, nullable=False),
        sa.Column("dataset_version", sa.Integer, nullable=False),
        sa.Column("test_case_id", Words, nullable=False),
        sa.Column("group_id", Words, nullable=False),
        sa.Column("schema_type", Words, nullable=False),
        sa.Column("output", Document, nullable=False),
        sa.Column("metrics", Document),
        sa.Column("interaction_id", Words),
        *_creation(),
        sa.UniqueConstraint("id", name="uq_application_outputs_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_application_outputs_account_id"),
        sa.PrimaryKeyConstraint("seq", name="pk_application_outputs"),
    )
    for name, columns in (
        ("account", ("account_id", "seq")),
        ("group", ("group_id", "seq")),
        ("variant", ("application_variant_id", "dataset_id", "dataset_version", "seq")),
        ("dataset", ("dataset_id", "seq")),
    ):
        op.create_index(f"ix_application_outputs_of_{name}", "application_outputs", columns)
    op.add_column("item_labels", sa.Column("computing", Words, nullable=False, server_default="done"))
    waiting = sa.text("computing = 'waiting'")
    op.create_index(
        "ix_item_labels_waiting",
        "item_labels",
        ["evaluation_seq", "item_seq"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.add_column("application_setups", sa.Column("generated_at", Moment))


def _creation() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("created_by_id", Words, nullable=False),
        sa.Column("created_by_type", Words, nullable=False),
    )


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
