"""A simulated plant as a source of readings, for trying Latigo out; not for production."""

from latigo.providers.simulated.plant import Fault, FaultKind, Plant, synth_series
from latigo.providers.simulated.sensors import PlantSensors

__all__ = ["Fault", "FaultKind", "Plant", "PlantSensors", "synth_series"]
