"""The tables. Times are microseconds since 1970, JSON is text, and sorted text has the order of its code points.

The two big tables, items and results, have no foreign keys: a check on every row would cost more than the row,
and their rows are only ever written by code that has the evaluation at hand.
"""

from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from assay.adapters.storage import codec
from assay.core.errors import InvalidInput

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Words(TypeDecorator[str]):
    """Text that sorts by code point on every database. Refuses NUL characters and lone surrogates."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Plain text, with the collation "C" where there is one."""
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text itself."""
        if value is not None and not codec.is_storable(value):
            raise InvalidInput.at(("text",), "text may not hold NUL characters or lone surrogates")
        return value


class Moment(TypeDecorator[datetime]):
    """An aware UTC time, to the microsecond."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds since 1970."""
        return None if value is None else codec.to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """The aware time."""
        return None if value is None else codec.from_micros(value)


class Document(TypeDecorator[Any]):
    """A JSON value as text; None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """JSON text."""
        return None if value is None else codec.dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The value."""
        return None if value is None else codec.load_json(value)


class ValueKind(IntEnum):
    """What a result's value is, so that a question about numbers or words need not read the values."""

    NONE = 0
    NUMBER = 1
    BOOLEAN = 2
    TEXT = 3
    OTHER = 4


SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")
"""An insertion sequence: SQLite's row id is only ever an INTEGER."""


def _seq() -> Column[int]:
    return Column("seq", SEQUENCE, primary_key=True, autoincrement=True)


def _creation() -> tuple[Column[Any], ...]:
    return (
        Column("created_at", Moment, nullable=False),
        Column("created_by_id", Words, nullable=False),
        Column("created_by_type", Words, nullable=False),
    )


def _naming() -> tuple[Column[Any], ...]:
    return (
        Column("name", Words, nullable=False),
        Column("name_folded", Words, nullable=False),
        Column("description", Words),
        Column("tags", Document, nullable=False),
        Column("tags_folded", Words, nullable=False),
    )


accounts = Table(
    "accounts",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("created_at", Moment, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("hint", Words, nullable=False),
    Column("secret_hash", Words, nullable=False, unique=True),
    Column("identity_id", Words, nullable=False),
    Column("identity_type", Words, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("role", Words),
)

api_key_accounts = Table(
    "api_key_accounts",
    metadata,
    Column("api_key_seq", SEQUENCE, ForeignKey("api_keys.seq"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    PrimaryKeyConstraint("api_key_seq", "position"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Words, primary_key=True),
    Column("value", Words, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    *_naming(),
    Column("current_version_num", Integer, nullable=False),
    *_creation(),
    Column("archived_at", Moment),
    Column("schema_type", Words),
    Column("metadata", Document),
    Column("updated_at", Moment),
    Index("ix_datasets_by_creation", "account_id", "created_at", "seq"),
)

dataset_items = Table(
    "dataset_items",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("dataset_seq", SEQUENCE, ForeignKey("datasets.seq"), nullable=False),
    Column("archived_at", Moment),
    Index("ix_dataset_items_in_order", "dataset_seq", "seq"),
)

dataset_item_versions = Table(
    "dataset_item_versions",
    metadata,
    _seq(),
    Column("item_seq", SEQUENCE, ForeignKey("dataset_items.seq"), nullable=False),
    Column("start_version", Integer, nullable=False),
    Column("end_version", Integer),
    Column("data", Document, nullable=False),
    Column("files", Document),
    Column("content_hash", Words, nullable=False),
    Column("updated_at", Moment, nullable=False),
    *_creation(),
    Column("removed_at", Moment),
    Column("extra", Document),
    Column("ended_at", Moment),
    Index("ix_dataset_item_versions_of_item", "item_seq", "start_version"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    *_naming(),
    Column("metadata", Document),
    Column("tasks", Document, nullable=False),
    Column("status", Words, nullable=False),
    Column("status_reason", Words),
    Column("item_total", BigInteger, nullable=False),
    Column("item_successful", BigInteger, nullable=False),
    Column("item_failed", BigInteger, nullable=False),
    Column("error_count", BigInteger, nullable=False),
    Column("has_job", Boolean, nullable=False),
    *_creation(),
    Column("updated_at", Moment, nullable=False),
    Column("archived_at", Moment),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("column_names", Document, nullable=False),
    Column("taxonomy", Document),
    Column("skip_prefilled_rows", Boolean, nullable=False),
)
_shown = evaluations.c.archived_at.is_(None)
Index(
    "ix_evaluations_by_creation",
    evaluations.c.account_id,
    evaluations.c.created_at,
    evaluations.c.seq,
    sqlite_where=_shown,
    postgresql_where=_shown,
)
Index(
    "ix_evaluations_with_archived_by_creation",
    evaluations.c.account_id,
    evaluations.c.created_at,
    evaluations.c.seq,
)
_running = evaluations.c.status == "running"
Index("ix_evaluations_running", evaluations.c.seq, sqlite_where=_running, postgresql_where=_running)

evaluation_counts = Table(
    "evaluation_counts",
    metadata,
    Column("account_id", Words, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("pruned", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False),
    Column("archived", BigInteger, nullable=False),
)

evaluation_changes = Table(
    "evaluation_changes",
    metadata,
    Column("account_id", Words, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("evaluation_seq", SEQUENCE, nullable=False),
    PrimaryKeyConstraint("account_id", "version", "evaluation_seq"),
    sqlite_with_rowid=False,
)

evaluation_datasets = Table(
    "evaluation_datasets",
    metadata,
    Column("evaluation_seq", SEQUENCE, ForeignKey("evaluations.seq"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("dataset_seq", SEQUENCE, ForeignKey("datasets.seq"), nullable=False),
    PrimaryKeyConstraint("evaluation_seq", "position"),
)

items = Table(
    "items",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("evaluation_seq", SEQUENCE, nullable=False),
    Column("data", Document, nullable=False),
    Column("files", Document),
    Column("dataset_item_id", Words),
    Column("dataset_item_version_num", Integer),
    Column("archived_at", Moment),
    Index("ix_items_in_order", "evaluation_seq", "seq"),
)

results = Table(
    "results",
    metadata,
    Column("evaluation_seq", SEQUENCE, nullable=False),
    Column("item_seq", SEQUENCE, nullable=False),
    Column("alias", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("value", Text),
    Column("kind", SmallInteger, nullable=False),
    Column("number", Double),
    Column("error_type", Words),
    Column("error_message", Words),
    Column("latency", Double),
    Column("attempts", Integer),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached", SmallInteger),
    Column("cost", Double),
    Column("sandbox", Words),
    Column("detail", Text),
    PrimaryKeyConstraint("evaluation_seq", "item_seq", "alias"),
    sqlite_with_rowid=False,
)
_errored = results.c.status == "errored"
Index(
    "ix_results_errored",
    results.c.evaluation_seq,
    results.c.item_seq,
    sqlite_where=_errored,
    postgresql_where=_errored,
)

groups = Table(
    "groups",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    *_naming(),
    Column("metadata", Document),
    *_creation(),
    Column("deleted_at", Moment),
    Index("ix_groups_with_deleted_by_creation", "account_id", "created_at", "seq"),
    Index("ix_groups_by_name", "account_id", "name", "seq"),
)
_kept = groups.c.deleted_at.is_(None)
Index(
    "ix_groups_by_creation",
    groups.c.account_id,
    groups.c.created_at,
    groups.c.seq,
    sqlite_where=_kept,
    postgresql_where=_kept,
)

group_counts = Table(
    "group_counts",
    metadata,
    Column("account_id", Words, ForeignKey("accounts.id"), primary_key=True),
    Column("present", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_seq", SEQUENCE, ForeignKey("groups.seq"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("evaluation_seq", SEQUENCE, ForeignKey("evaluations.seq"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Column("row_identifier", Words),
    PrimaryKeyConstraint("group_seq", "position"),
    UniqueConstraint("group_seq", "evaluation_seq"),
    Index("ix_group_members_of_evaluation", "evaluation_seq"),
)

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
    Column("generated_at", Moment),
    Index("ix_application_setups_of_spec", "application_spec_id", "evaluation_seq"),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    _seq(),
    Column("id", Words, nullable=False, unique=True),
    Column("dataset_seq", SEQUENCE, ForeignKey("datasets.seq"), nullable=False),
    Column("num", Integer, nullable=False),
    Column("draft", Boolean, nullable=False),
    Column("published_at", Moment),
    *_creation(),
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
    *_creation(),
    Column("updated_at", Moment, nullable=False),
    Column("computing", Words, nullable=False, server_default="done"),
    Index("ix_item_labels_of_evaluation", "evaluation_seq", "status"),
)
_waiting = item_labels.c.computing == "waiting"
Index(
    "ix_item_labels_waiting",
    item_labels.c.evaluation_seq,
    item_labels.c.item_seq,
    sqlite_where=_waiting,
    postgresql_where=_waiting,
)

item_label_revisions = Table(
    "item_label_revisions",
    metadata,
    _seq(),
    Column("item_seq", SEQUENCE, nullable=False),
    Column("invalidated_at", Moment, nullable=False),
    Column("replaced", Document, nullable=False),
    Index("ix_item_label_revisions_of_item", "item_seq", "seq"),
)
