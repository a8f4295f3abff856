"""Model endpoints over HTTP: `HttpModels` is the adapter of `assay.ports.models.Models`, `HttpInference` that of
`assay.ports.inference.Inference`."""

from assay.adapters.models.client import HttpModels
from assay.adapters.models.inference import HttpInference

__all__ = ["HttpInference", "HttpModels"]
