"""Latigo, the continuous prediction service for Gordo."""

__version__ = "0.1.0"
