"""Annotation tasks: people's work on items, and what was done to it; and keys for those who do nothing else.

A frozen copy of the tables as they were then: later changes are later revisions.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    and_,
)

from assay.adapters.storage.tables import Document, Moment, Words

revision = "0007"
down_revision = "0006"
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

annotation_tasks = Table(
    "annotation_tasks",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, nullable=False),
    Column("evaluation_seq", SEQUENCE, nullable=False),
    Column("item_seq", SEQUENCE, nullable=False),
    Column("queue_id", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("status", Words, nullable=False),
    Column("open", SmallInteger, nullable=False),
    Column("archived", SmallInteger, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("assigned_to", Words),
    Column("reserved", SmallInteger, nullable=False),
    Column("lease_until", Moment),
    Column("completed_at", Moment),
    Column("duration_seconds", BigInteger),
    Column("flagged", Boolean),
    Column("comment", Words),
    Column("answers", Document),
    UniqueConstraint("item_seq", "queue_id", "kind", "slot", "level"),
    Index("ix_annotation_tasks_of_evaluation", "evaluation_seq", "queue_id", "kind", "status"),
    Index("ix_annotation_tasks_in_queue", "account_id", "queue_id", "seq"),
)
_tasks = annotation_tasks.c
_free = and_(_tasks.open == 1, _tasks.assigned_to.is_(None))
Index(
    "ix_annotation_tasks_free_in_queue",
    _tasks.account_id,
    _tasks.kind,
    _tasks.queue_id,
    _tasks.priority.desc(),
    _tasks.seq,
    sqlite_where=_free,
    postgresql_where=_free,
)
Index(
    "ix_annotation_tasks_free_in_evaluation",
    _tasks.evaluation_seq,
    _tasks.kind,
    _tasks.priority.desc(),
    _tasks.seq,
    sqlite_where=_free,
    postgresql_where=_free,
)
_taken = and_(_tasks.open == 1, _tasks.assigned_to.is_not(None))
Index(
    "ix_annotation_tasks_taken",
    _tasks.account_id,
    _tasks.assigned_to,
    _tasks.kind,
    _tasks.priority.desc(),
    _tasks.seq,
    sqlite_where=_taken,
    postgresql_where=_taken,
)
_leased = and_(_tasks.open == 1, _tasks.lease_until.is_not(None))
Index(
    "ix_annotation_tasks_leased",
    _tasks.account_id,
    _tasks.lease_until,
    sqlite_where=_leased,
    postgresql_where=_leased,
)

annotation_skips = Table(
    "annotation_skips",
    metadata,
    Column("task_seq", SEQUENCE, nullable=False),
    Column("identity_id", Words, nullable=False),
    PrimaryKeyConstraint("task_seq", "identity_id"),
    sqlite_with_rowid=False,
)

annotation_events = Table(
    "annotation_events",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("task_seq", SEQUENCE, nullable=False),
    Column("action", Words, nullable=False),
    Column("by_id", Words, nullable=False),
    Column("by_type", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("answers", Document),
    Column("duration_seconds", BigInteger),
    Column("comment", Words),
    Index("ix_annotation_events_of_task", "task_seq", "seq"),
)


def upgrade() -> None:
    """Make the tables, and let keys have a role (none: what keys could do before, everything)."""
    metadata.create_all(op.get_bind())
    op.add_column("api_keys", Column("role", Words))


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
