"""Assay: a self-hosted server that evaluates LLM applications."""

__version__ = "0.1.0.dev0"
