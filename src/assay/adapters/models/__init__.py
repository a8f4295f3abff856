"""Model endpoints over HTTP: `HttpModels` is the adapter of `assay.ports.models.Models`."""

from assay.adapters.models.client import HttpModels

__all__ = ["HttpModels"]
