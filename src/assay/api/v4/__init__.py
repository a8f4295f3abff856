"""Version 4 of the API: left out for now, and saying so."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.api.shared.services import ApiServices
    from assay.api.shared.versions import ApiVersion


def build_version(_services: "ApiServices") -> "ApiVersion":
    """Answers 501 to everything under /v4."""
    from assay.api.shared.versions import EVERY_METHOD, ApiVersion, left_out, version_router

    router = version_router("/v4", "Left out")
    router.add_api_route(
        "/{rest:path}", left_out("Version 4 of the API"), methods=list(EVERY_METHOD), include_in_schema=False
    )
    return ApiVersion(tuple(router.routes))
