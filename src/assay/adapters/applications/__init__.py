"""Applications over HTTP: `HttpApplications` is the adapter of `assay.ports.applications.Applications`."""

from assay.adapters.applications.client import HttpApplications

__all__ = ["HttpApplications"]
