"""Readings in CSV and Parquet files, as loggers and historians write them."""

from latigo.providers.files.sensors import FileSensors, open_files

__all__ = ["FileSensors", "open_files"]
