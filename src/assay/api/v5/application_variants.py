"""Application variants as version 5 shows them."""

from typing import Any

from assay.api.shared.rendering import render_identity
from assay.core.applications import ApplicationVariant
from assay.registry.application_calls import ApplicationRun


def render_application_variant(variant: ApplicationVariant) -> dict[str, Any]:
    """A variant's wire object."""
    return {
        "id": variant.id,
        "object": "application_variant",
        "application_spec_id": variant.application_spec_id,
        "name": variant.name,
        "version": variant.version,
        "description": variant.description,
        "endpoint": variant.configuration.get("endpoint"),
        "created_at": variant.created_at,
        "updated_at": variant.updated_at,
        "created_by": render_identity(variant.created_by),
        "archived_at": variant.archived_at,
    }


def render_dry_run(run: ApplicationRun) -> dict[str, Any]:
    """What a single call gave."""
    answer, usage = run.answer, run.usage
    return {
        "object": "application_variant.dry_run",
        "request": run.sent,
        "output": None if answer is None else answer.output,
        "extra_info": None if answer is None else answer.extra_info,
        "spans": [] if answer is None else answer.spans,
        "ignored": None if answer is None else answer.ignored,
        "usage": {
            "latency": usage.latency,
            "attempts": usage.attempts,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        },
        "error": None if run.error is None else {"type": run.error.type, "message": run.error.message},
        "raw": run.raw,
    }
