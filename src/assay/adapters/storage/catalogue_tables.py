"""The tables of applications, questions, question sets and evaluation configs."""

from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata


def entity(name: str, *columns: Any) -> Table:
    """A table of things that belong to an account, were made by somebody and can be archived."""
    return Table(
        name,
        metadata,
        Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
        Column("id", Words, nullable=False, unique=True),
        Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
        Column("created_at", Moment, nullable=False),
        Column("created_by_id", Words, nullable=False),
        Column("created_by_type", Words, nullable=False),
        Column("archived_at", Moment),
        *columns,
        Index(f"ix_{name}_by_creation", "account_id", "created_at", "seq"),
    )


application_specs = entity(
    "application_specs",
    Column("name", Words, nullable=False),
    Column("description", Words, nullable=False),
    Column("run_online_evaluation", Boolean),
    Column("theme_id", Words),
)

application_variants = entity(
    "application_variants",
    Column("application_spec_id", Words, ForeignKey("application_specs.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("version", Words, nullable=False),
    Column("configuration", Document, nullable=False),
    Column("description", Words),
    Column("draft", Boolean, nullable=False),
    Column("published_at", Moment),
    Column("updated_at", Moment, nullable=False),
    Index("ix_application_variants_of_spec", "application_spec_id", "created_at", "seq"),
)

questions = entity(
    "questions",
    Column("type", Words, nullable=False),
    Column("title", Words, nullable=False),
    Column("prompt", Words, nullable=False),
    Column("configuration", Document, nullable=False),
    Column("required", Boolean),
    Column("conditions", Document),
)

question_sets = entity(
    "question_sets",
    Column("name", Words, nullable=False),
    Column("instructions", Words),
    Column("question_id_to_config", Document),
)

question_set_questions = Table(
    "question_set_questions",
    metadata,
    Column("question_set_seq", SEQUENCE, ForeignKey("question_sets.seq"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("question_id", Words, ForeignKey("questions.id"), nullable=False),
    PrimaryKeyConstraint("question_set_seq", "position"),
)

evaluation_configs = entity(
    "evaluation_configs",
    Column("question_set_id", Words, ForeignKey("question_sets.id"), nullable=False),
    Column("evaluation_type", Words, nullable=False),
    Column("auto_evaluation_model", Words),
    Column("auto_evaluation_parameters", Document),
    Column("studio_project_id", Words),
)
