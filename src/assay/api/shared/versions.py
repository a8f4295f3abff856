"""What a version of the API is to the application: routes, and its part of the document."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute

from assay.api.shared.bodies import JsonArray, JsonBody
from assay.api.shared.errors import ERROR_RESPONSES, error_response
from assay.core.errors import NotOffered

EVERY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One version of the API. A package under `assay.api` is one when it has `build_version(services)`.

    `models` are schemas for the document that no response names; `components` are ready-made ones, such as the
    union of the task types.
    """

    routes: tuple[BaseRoute, ...]
    models: frozenset[type[BaseModel]] = frozenset()
    components: Mapping[str, Any] = field(default_factory=dict)


def version_router(prefix: str, tag: str) -> APIRouter:
    """A router for one module of routes: `router = version_router("/v5", "Datasets")`."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        responses=ERROR_RESPONSES,
        generate_unique_id_function=lambda route: route.name,
    )


def found_routes(package: ModuleType) -> Iterator[BaseRoute]:
    """The routes of every module in `package` that defines `router`, by module name."""
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        router = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "router", None)
        if router is not None:
            yield from router.routes


def describe_bodies(routes: tuple[BaseRoute, ...]) -> frozenset[type[BaseModel]]:
    """Write each route's JsonBody into its part of the document; returns the models that are named."""
    models: set[type[BaseModel]] = set()
    for route in routes:
        if not isinstance(route, APIRoute):
            continue
        for dependency in route.dependant.dependencies:
            if isinstance(dependency.call, JsonBody | JsonArray):
                models.add(dependency.call.model)
                content = {"application/json": {"schema": dependency.call.schema}}
                route.openapi_extra = {"requestBody": {"required": True, "content": content}}
    return frozenset(models)


def left_out(what: str) -> Callable[[], Any]:
    """A route that answers 501: this part of the vendor's product is not in Assay."""

    async def not_offered() -> Any:
        return error_response(501, NotOffered.code, f"{what} is not offered by this version of Assay")

    return not_offered
