"""The Omnia Timeseries API as a source of readings and a sink of predictions."""

from latigo.providers.timeseries.predictions import TimeseriesPredictions, open_predictions
from latigo.providers.timeseries.sensors import TimeseriesSensors, open_sensors
from latigo.providers.timeseries.sharing import Savings

__all__ = ["Savings", "TimeseriesPredictions", "TimeseriesSensors", "open_predictions", "open_sensors"]
