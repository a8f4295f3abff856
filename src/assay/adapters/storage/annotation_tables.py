"""The tables of people's work: annotation tasks, who skipped which, and what was done to them.

`open` is 1 while somebody may take the task: its state says so and its evaluation is not archived. The small partial
indexes make a claim a look at the first entry of one, however long the queue is. As for items and results, there
are no foreign keys: an evaluation queues one or more rows for each of its items.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    and_,
)

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

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
