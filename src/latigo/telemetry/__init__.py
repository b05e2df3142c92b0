"""Metrics, gauges and log events of Latigo itself."""
