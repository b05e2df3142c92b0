"""Sensors and predictions in memory: real implementations, for tests and for trying things out."""

from latigo.providers.memory.predictions import MemoryPredictions
from latigo.providers.memory.sensors import MemorySensors

__all__ = ["MemoryPredictions", "MemorySensors"]
