"""The OpenAPI document: FastAPI's own, plus request bodies and each version's ready-made schemas."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from assay import __version__
from assay.api.shared.versions import ApiVersion

REF_TEMPLATE = "#/components/schemas/{model}"
PLACEHOLDER = "x-assay-ref"
"""A schema `{"x-assay-ref": "Name"}` stands for a component that is known only when the server is built."""


def install_document(app: FastAPI, versions: Sequence[ApiVersion]) -> None:
    """Serve the document at /openapi.json; it is made when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _make(app, versions)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _make(app: FastAPI, versions: Sequence[ApiVersion]) -> dict[str, Any]:
    document = get_openapi(
        title="Assay",
        version=__version__,
        description="A self-hosted server that evaluates LLM applications.",
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for version in versions:
        models = sorted(version.models, key=lambda model: model.__name__)
        _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REF_TEMPLATE)
        schemas.update(definitions.get("$defs", {}))
        schemas.update(version.components)
    resolved: dict[str, Any] = _resolve(document)
    return resolved


def _resolve(value: Any) -> Any:
    """The document with every placeholder replaced by a reference."""
    if isinstance(value, Mapping):
        if PLACEHOLDER in value:
            return {"$ref": REF_TEMPLATE.format(model=value[PLACEHOLDER])}
        return {key: _resolve(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner) for inner in value]
    return value
