"""Exact counters of each account's evaluations, and the log of their changes."""

import sqlalchemy as sa
from alembic import op

from assay.adapters.storage.tables import Words

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables and count what is there."""
    op.create_table(
        "evaluation_counts",
        sa.Column("account_id", Words, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("pruned", sa.BigInteger, nullable=False),
        sa.Column("active", sa.BigInteger, nullable=False),
        sa.Column("archived", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_evaluation_counts"),
    )
    op.create_table(
        "evaluation_changes",
        sa.Column("account_id", Words, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("evaluation_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "version", "evaluation_seq", name="pk_evaluation_changes"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO evaluation_counts (account_id, version, pruned, active, archived)"
        " SELECT account_id, 1, 1, COUNT(*) - COUNT(archived_at), COUNT(archived_at) FROM evaluations"
        " GROUP BY account_id"
    )


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
