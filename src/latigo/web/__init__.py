"""Probes, metrics and API over HTTP, in every role."""
