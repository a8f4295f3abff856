"""The parts of the vendor's v4 API that Assay leaves out: an honest 501 instead of a puzzling 404."""

from assay.api.shared.versions import EVERY_METHOD, left_out, version_router

FAMILIES = (
    "agents",
    "application-deployments",
    "application-schemas",
    "beta",
    "chat-completions",
    "chunks",
    "completions",
    "deployment-packages",
    "fine-tuning-jobs",
    "knowledge-base-data-sources",
    "knowledge-bases",
    "model-groups",
    "serving",
    "themes",
    "threads",
    "training-datasets",
)
"""First path segments of which nothing is there."""

PARTS = (
    "applications",
    "model-deployments/{model_deployment_id}/usage-statistics",
    "models/{model_deployment_id}/chat-completions",
    "models/{model_deployment_id}/completions",
    "models/{model_deployment_id}/embeddings",
    "models/{model_deployment_id}/rerankings",
    "models/{model_name}/usage-statistics",
    "models/{model_instance_id}/deployments/{model_deployment_id}/execute",
)
"""Parts of families that are there; a route that is defined elsewhere for the same call wins."""

router = version_router("/v4", "Left out")

for _family in (*FAMILIES, *PARTS):
    for _path in (f"/{_family}", f"/{_family}/{{rest:path}}"):
        router.add_api_route(_path, left_out(f"/v4/{_family}"), methods=list(EVERY_METHOD), include_in_schema=False)
