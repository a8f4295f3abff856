"""The HTTP application: every version of the API that is there, health, the document and the edge."""

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Response

import assay.api
from assay import __version__
from assay.api.shared.document import install_document
from assay.api.shared.edge import Edge
from assay.api.shared.errors import install_error_responses
from assay.api.shared.rendering import json_response
from assay.api.shared.services import ApiServices, FromServices
from assay.api.shared.versions import ApiVersion
from assay.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


def build_api(services: ApiServices, settings: Settings, lifespan: Lifespan | None = None) -> FastAPI:
    """The application. It answers at `/v5/...` and the same at `/public/v5/...`.

    Nothing is loaded from elsewhere: the document is at /openapi.json and there is no page around it.
    """
    app = FastAPI(
        title="Assay",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.settings = settings
    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["Health"])
    versions = find_versions(services)
    for version in versions:
        app.router.routes.extend(version.routes)
    install_error_responses(app)
    install_document(app, versions)
    app.add_middleware(Edge)
    return app


def find_versions(services: ApiServices) -> list[ApiVersion]:
    """The versions of the API that are installed: packages beside this module that have `build_version`."""
    found = []
    for module in sorted(pkgutil.iter_modules(assay.api.__path__), key=lambda each: each.name):
        if module.ispkg:
            package = importlib.import_module(f"{assay.api.__name__}.{module.name}")
            if hasattr(package, "build_version"):
                found.append(package.build_version(services))
    return found


async def healthz(services: FromServices) -> Response:
    """200 once the server can serve; needs no key."""
    await services.storage.ping()
    return json_response({"status": "ok", "version": __version__})
