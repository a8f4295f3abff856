"""The table of the models that accounts have registered."""

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

registered_models = Table(
    "registered_models",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("vendor", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("name_folded", Words, nullable=False),
    Column("type", Words, nullable=False),
    Column("metadata", Document),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    UniqueConstraint("account_id", "vendor", "name"),
    Index("ix_registered_models_by_creation", "account_id", "created_at", "seq"),
)
