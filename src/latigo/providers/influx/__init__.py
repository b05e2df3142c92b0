"""InfluxDB: readings of sensors, and predictions in Gordo's own layout.

Importing this package imports aioinflux: do it only where InfluxDB is configured.
"""

from latigo.providers.influx.predictions import InfluxPredictions, open_predictions
from latigo.providers.influx.sensors import InfluxSensors, open_sensors

__all__ = ["InfluxPredictions", "InfluxSensors", "open_predictions", "open_sensors"]
