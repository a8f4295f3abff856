"""Version 4 of the API: its wire shapes and nothing more."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.api.shared.services import ApiServices
    from assay.api.shared.versions import ApiVersion


def build_version(_services: "ApiServices") -> "ApiVersion":
    """Everything that the application needs of this version; route modules are found in `routes`."""
    from assay.api.shared.versions import ApiVersion, describe_bodies, found_routes
    from assay.api.v4 import routes as routes_package

    routes = tuple(found_routes(routes_package))
    return ApiVersion(routes, describe_bodies(routes))
