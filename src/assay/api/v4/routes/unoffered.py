"""The parts of the vendor's v4 API that Assay leaves out: an honest 501 instead of a puzzling 404."""

from assay.api.shared.versions import EVERY_METHOD, left_out, version_router

FAMILIES = (
    "agents",
    "application-deployments",
    "application-schemas",
    "application-test-case-outputs",
    "application-variant-reports",
    "applications",
    "beta",
    "chat-completions",
    "chunks",
    "completions",
    "deployment-packages",
    "evaluation-datasets",
    "evaluations",
    "fine-tuning-jobs",
    "interactions",
    "knowledge-base-data-sources",
    "knowledge-bases",
    "model-deployments",
    "model-groups",
    "model-templates",
    "models",
    "serving",
    "studio-projects",
    "themes",
    "threads",
    "training-datasets",
)
"""First path segments of which nothing is there, or of which only the routes of earlier modules are."""

router = version_router("/v4", "Left out")

for _family in FAMILIES:
    for _path in (f"/{_family}", f"/{_family}/{{rest:path}}"):
        router.add_api_route(_path, left_out(f"/v4/{_family}"), methods=list(EVERY_METHOD), include_in_schema=False)
