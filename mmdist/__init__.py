"""Trains and runs models that read pictures and text together, on one machine or a Ray cluster."""

__all__ = ["__version__"]

__version__ = "0.1.0"
