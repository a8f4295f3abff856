"""The tables of studio projects, records of models, reports about variants, generation jobs and drafts."""

from sqlalchemy import Column, ForeignKey, Index, Integer

from assay.adapters.storage.catalogue_tables import entity
from assay.adapters.storage.tables import Document, Moment, Words

studio_projects = entity(
    "studio_projects",
    Column("name", Words, nullable=False),
    Column("description", Words, nullable=False),
)

model_templates = entity(
    "model_templates",
    Column("name", Words, nullable=False),
    Column("details", Document, nullable=False),
)

model_instances = entity(
    "model_instances",
    Column("name", Words, nullable=False),
    Column("model_type", Words),
    Column("model_group_id", Words),
    Column("details", Document, nullable=False),
)

model_deployments = entity(
    "model_deployments",
    Column("model_instance_id", Words, ForeignKey("model_instances.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("details", Document, nullable=False),
    Index("ix_model_deployments_of_model", "model_instance_id", "created_at", "seq"),
)

variant_reports = entity(
    "variant_reports",
    Column("application_spec_id", Words, nullable=False),
    Column("application_variant_id", Words, nullable=False),
    Column("datasets", Document, nullable=False),
    Column("output_group_ids", Document, nullable=False),
    Index("ix_variant_reports_of_variant", "application_variant_id", "created_at", "seq"),
)

generation_jobs = entity(
    "generation_jobs",
    Column("dataset_id", Words, ForeignKey("datasets.id"), nullable=False),
    Column("model", Words, nullable=False),
    Column("request", Document, nullable=False),
    Column("status", Words, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failure_reason", Words),
    Index("ix_generation_jobs_of_dataset", "dataset_id", "created_at", "seq"),
    Index("ix_generation_jobs_of_status", "status", "seq"),
)

draft_test_cases = entity(
    "draft_test_cases",
    Column("dataset_id", Words, ForeignKey("datasets.id"), nullable=False),
    Column("job_id", Words),
    Column("data", Document, nullable=False),
    Column("content", Document, nullable=False),
    Column("topic", Words),
    Column("updated_at", Moment, nullable=False),
    Column("test_case_id", Words),
    Index("ix_draft_test_cases_of_dataset", "dataset_id", "seq"),
    Index("ix_draft_test_cases_of_job", "job_id", "seq"),
)
