"""Rubrics, their versions and the versions of their criteria."""

import sqlalchemy as sa
from alembic import op

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "rubrics",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", Words, nullable=False),
        sa.Column("account_id", Words, nullable=False),
        sa.Column("title", Words, nullable=False),
        sa.Column("name_folded", Words, nullable=False),
        sa.Column("tags", Document, nullable=False),
        sa.Column("tags_folded", Words, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("created_by_id", Words, nullable=False),
        sa.Column("created_by_type", Words, nullable=False),
        sa.Column("updated_at", Moment),
        sa.Column("archived_at", Moment),
        sa.PrimaryKeyConstraint("seq", name="pk_rubrics"),
        sa.UniqueConstraint("id", name="uq_rubrics_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_rubrics_account_id"),
    )
    op.create_index("ix_rubrics_by_creation", "rubrics", ["account_id", "created_at", "seq"])
    op.create_table(
        "rubric_versions",
        sa.Column("rubric_id", Words, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("title", Words, nullable=False),
        sa.Column("tags", Document, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("rubric_id", "version", name="pk_rubric_versions"),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name="fk_rubric_versions_rubric_id"),
    )
    op.create_table(
        "rubric_criteria",
        sa.Column("rubric_id", Words, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("id", Words, nullable=False),
        sa.Column("title", Words, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("annotations", Document),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("rubric_id", "position", "version", name="pk_rubric_criteria"),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name="fk_rubric_criteria_rubric_id"),
    )


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
