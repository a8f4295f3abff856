"""The models that accounts have registered."""

import sqlalchemy as sa
from alembic import op

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "registered_models",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", Words, nullable=False),
        sa.Column("account_id", Words, nullable=False),
        sa.Column("vendor", Words, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("name_folded", Words, nullable=False),
        sa.Column("type", Words, nullable=False),
        sa.Column("metadata", Document),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("created_by_id", Words, nullable=False),
        sa.Column("created_by_type", Words, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_registered_models"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_registered_models_account_id"),
        sa.UniqueConstraint("id", name="uq_registered_models_id"),
        sa.UniqueConstraint("account_id", "vendor", "name", name="uq_registered_models_account_id_vendor_name"),
    )
    op.create_index("ix_registered_models_by_creation", "registered_models", ["account_id", "created_at", "seq"])


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
