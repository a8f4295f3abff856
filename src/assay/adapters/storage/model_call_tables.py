"""The tables of model calls: kept answers, sums over calls, and how evaluations may call."""

from sqlalchemy import BigInteger, Column, Double, Index, PrimaryKeyConstraint, Table

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

model_answers = Table(
    "model_answers",
    metadata,
    Column("account_id", Words, nullable=False),
    Column("call_key", Words, nullable=False),
    Column("body", Document, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("created_at", Moment, nullable=False),
    PrimaryKeyConstraint("account_id", "call_key"),
    Index("ix_model_answers_by_age", "created_at"),
    sqlite_with_rowid=False,
)

model_call_sums = Table(
    "model_call_sums",
    metadata,
    Column("account_id", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_characters", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("squares", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "model"),
)

call_policies = Table(
    "call_policies",
    metadata,
    Column("evaluation_seq", SEQUENCE, primary_key=True, autoincrement=False),
    Column("cache", Words, nullable=False),
    Column("max_cost", Double),
)
