"""Kept answers of models, sums over calls, evaluations' call policies, and what each result cost."""

import sqlalchemy as sa
from alembic import op

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and add the results' cost, which is not known of those that are there."""
    op.create_table(
        "model_answers",
        sa.Column("account_id", Words, nullable=False),
        sa.Column("call_key", Words, nullable=False),
        sa.Column("body", Document, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "call_key", name="pk_model_answers"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_model_answers_by_age", "model_answers", ["created_at"])
    op.create_table(
        "model_call_sums",
        sa.Column("account_id", Words, nullable=False),
        sa.Column("model", Words, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("prompt_characters", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("squares", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "model", name="pk_model_call_sums"),
    )
    op.create_table(
        "call_policies",
        sa.Column("evaluation_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cache", Words, nullable=False),
        sa.Column("max_cost", sa.Double),
        sa.PrimaryKeyConstraint("evaluation_seq", name="pk_call_policies"),
    )
    op.add_column("results", sa.Column("cost", sa.Double))


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
