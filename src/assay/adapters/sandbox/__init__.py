"""Runners of users' functions: bubblewrap on Linux, Monty elsewhere and where namespaces are forbidden."""

from assay.adapters.sandbox.probe import open_sandbox

__all__ = ["open_sandbox"]
