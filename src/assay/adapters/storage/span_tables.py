"""The tables of spans. A span's documents lie apart, so that a search reads narrow rows until it knows its page."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

spans = Table(
    "spans",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("id", Words, nullable=False),
    Column("trace_id", Words, nullable=False),
    Column("parent_id", Words),
    Column("group_id", Words),
    Column("name", Words, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("duration_ms", BigInteger),
    Column("status", Words, nullable=False),
    Column("type", Words, nullable=False),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("application_interaction_id", Words),
    Column("application_variant_id", Words),
    Column("obs_span_id", Words),
    Column("obs_trace_id", Words),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Index("uq_spans_id", "account_id", "id", unique=True),
    Index("ix_spans_by_start", "account_id", "started_at", "seq"),
    Index("ix_spans_of_trace", "account_id", "trace_id", "started_at", "seq"),
    Index("ix_spans_of_parent", "account_id", "parent_id", "started_at", "seq"),
    Index("ix_spans_of_group", "account_id", "group_id", "started_at", "seq"),
    Index("ix_spans_of_name", "account_id", "name", "started_at", "seq"),
    Index("ix_spans_of_interaction", "account_id", "application_interaction_id"),
)

span_contents = Table(
    "span_contents",
    metadata,
    Column("span_seq", SEQUENCE, ForeignKey("spans.seq"), primary_key=True, autoincrement=False),
    Column("metadata_pairs", Words, nullable=False),
    Column("searchable", Words, nullable=False),
    Column("input", Document),
    Column("output", Document),
    Column("expected", Document),
    Column("metadata", Document),
)

span_assessments = Table(
    "span_assessments",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("span_id", Words, nullable=False),
    Column("trace_id", Words, nullable=False),
    Column("type", Words, nullable=False),
    Column("comment", Words),
    Column("rating", Integer),
    Column("approval", Words),
    Column("rubric", Document),
    Column("metadata", Document),
    Column("overwrite", Document),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Index("ix_span_assessments_of_span", "account_id", "span_id", "type"),
    Index("ix_span_assessments_of_trace", "account_id", "trace_id"),
)
