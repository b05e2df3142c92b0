"""Plug-ins for Latigo: sensors, models and predictions of a plant in one SQLite file.

The file stands for a system that only you know, such as the Tilstandomatic of the first Latigo.
"""

from latigo_tilstandomatic.database import Options, create_plant
from latigo_tilstandomatic.predictions import open_predictions
from latigo_tilstandomatic.sensors import open_sensors

__all__ = ["Options", "create_plant", "open_predictions", "open_sensors"]
