"""The tables of applications' outputs and of the interactions that led to them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

application_interactions = Table(
    "application_interactions",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("application_spec_id", Words, nullable=False),
    Column("application_variant_id", Words, nullable=False),
    Column("source", Words, nullable=False),
    Column("thread_id", Words),
    Column("started_at", Moment, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("status", Words, nullable=False),
    Column("input", Document, nullable=False),
    Column("output", Document, nullable=False),
    Column("metadata", Document),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
)

application_outputs = Table(
    "application_outputs",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("application_variant_id", Words, nullable=False),
    Column("dataset_id", Words, nullable=False),
    Column("dataset_version", Integer, nullable=False),
    Column("test_case_id", Words, nullable=False),
    Column("group_id", Words, nullable=False),
    Column("schema_type", Words, nullable=False),
    Column("output", Document, nullable=False),
    Column("metrics", Document),
    Column("interaction_id", Words),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Index("ix_application_outputs_of_account", "account_id", "seq"),
    Index("ix_application_outputs_of_group", "group_id", "seq"),
    Index(
        "ix_application_outputs_of_variant",
        "application_variant_id",
        "dataset_id",
        "dataset_version",
        "seq",
    ),
    Index("ix_application_outputs_of_dataset", "dataset_id", "seq"),
)
