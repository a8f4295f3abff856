"""The tables of rubrics: what each is now, what it was in each version, and every version of its criteria."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

rubrics = Table(
    "rubrics",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("title", Words, nullable=False),
    Column("name_folded", Words, nullable=False),
    Column("tags", Document, nullable=False),
    Column("tags_folded", Words, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Column("updated_at", Moment),
    Column("archived_at", Moment),
    Index("ix_rubrics_by_creation", "account_id", "created_at", "seq"),
)

rubric_versions = Table(
    "rubric_versions",
    metadata,
    Column("rubric_id", Words, ForeignKey("rubrics.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("title", Words, nullable=False),
    Column("tags", Document, nullable=False),
    Column("created_at", Moment, nullable=False),
    PrimaryKeyConstraint("rubric_id", "version"),
)

rubric_criteria = Table(
    "rubric_criteria",
    metadata,
    Column("rubric_id", Words, ForeignKey("rubrics.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("id", Words, nullable=False),
    Column("title", Words, nullable=False),
    Column("weight", Double, nullable=False),
    Column("annotations", Document),
    Column("created_at", Moment, nullable=False),
    PrimaryKeyConstraint("rubric_id", "position", "version"),
)
