"""Evaluations of applications: their setups, datasets' snapshots, test cases and labelled results.

A frozen copy of the tables as they were then: later changes are later revisions.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
)

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")
"""An insertion sequence: SQLite's row id is only ever an INTEGER."""

evaluations = Table("evaluations", metadata, Column("seq", SEQUENCE, primary_key=True))
datasets = Table("datasets", metadata, Column("seq", SEQUENCE, primary_key=True))

application_setups = Table(
    "application_setups",
    metadata,
    Column("evaluation_seq", SEQUENCE, ForeignKey("evaluations.seq"), primary_key=True, autoincrement=False),
    Column("application_spec_id", Words, nullable=False),
    Column("application_variant_id", Words),
    Column("kind", Words, nullable=False),
    Column("configuration", Document),
    Column("configuration_id", Words),
    Column("annotation_config", Document),
    Column("question_annotation_configs", Document),
    Column("metric_config", Document),
    Column("dataset_id", Words),
    Column("dataset_version", Integer),
    Column("output_group_id", Words),
    Column("job_id", Words),
    Index("ix_application_setups_of_spec", "application_spec_id", "evaluation_seq"),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("dataset_seq", SEQUENCE, ForeignKey("datasets.seq"), nullable=False),
    Column("num", Integer, nullable=False),
    Column("draft", Boolean, nullable=False),
    Column("published_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Column("archived_at", Moment),
    UniqueConstraint("dataset_seq", "num"),
)

item_labels = Table(
    "item_labels",
    metadata,
    Column("item_seq", SEQUENCE, primary_key=True, autoincrement=False),
    Column("evaluation_seq", SEQUENCE, nullable=False),
    Column("application_spec_id", Words, nullable=False),
    Column("dataset_id", Words, nullable=False),
    Column("dataset_version", Words, nullable=False),
    Column("test_case_id", Words, nullable=False),
    Column("schema_type", Words, nullable=False),
    Column("evaluation_data", Document, nullable=False),
    Column("output_id", Words),
    Column("status", Words, nullable=False),
    Column("answers", Document),
    Column("completed_at", Moment),
    Column("annotated_by_id", Words),
    Column("annotated_by_type", Words),
    Column("edited_by_id", Words),
    Column("edited_by_type", Words),
    Column("audit_status", Words, nullable=False),
    Column("audit_required", Boolean),
    Column("audit_comment", Words),
    Column("seconds_spent", BigInteger),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index("ix_item_labels_of_evaluation", "evaluation_seq", "status"),
)

item_label_revisions = Table(
    "item_label_revisions",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("item_seq", SEQUENCE, nullable=False),
    Column("invalidated_at", Moment, nullable=False),
    Column("replaced", Document, nullable=False),
    Index("ix_item_label_revisions_of_item", "item_seq", "seq"),
)


def upgrade() -> None:
    """Add the columns and make the tables."""
    for column in (Column("schema_type", Words), Column("metadata", Document), Column("updated_at", Moment)):
        op.add_column("datasets", column)
    for column in (Column("extra", Document), Column("ended_at", Moment)):
        op.add_column("dataset_item_versions", column)
    before = (evaluations, datasets)
    metadata.create_all(op.get_bind(), tables=[table for table in metadata.sorted_tables if table not in before])


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
