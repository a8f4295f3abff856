"""The parts of the vendor's v5 API that Assay leaves out: an honest 501 instead of a puzzling 404."""

from assay.api.shared.versions import EVERY_METHOD, left_out, version_router

FAMILIES = (
    "agent_configs",
    "agentex",
    "builds",
    "credentials",
    "evaluation-dashboards",
    "responses",
    "sgp",
    "vector-stores",
)
"""First path segments of which nothing is there."""

router = version_router("/v5", "Left out")

for _family in FAMILIES:
    for _path in (f"/{_family}", f"/{_family}/{{rest:path}}"):
        router.add_api_route(_path, left_out(f"/v5/{_family}"), methods=list(EVERY_METHOD), include_in_schema=False)
