"""The tables of the configuration file: every key, its default and what it means.

One module a theme; ``base``, ``influx``, ``login``, ``plugin`` and ``timeseries`` hold what several of them share, and
``event_hubs`` parses connection strings.
"""

from latigo.settings.sections.ledger import EmbeddedLedger, Ledger, PostgresLedger
from latigo.settings.sections.metadata_api import MetadataApiSettings
from latigo.settings.sections.models import GordoDiscovery, GordoModels, MetadataApiDiscovery, PluginDiscovery
from latigo.settings.sections.predictions import InfluxSink, PluginSink, PostgresSink, Sink, TimeseriesSink
from latigo.settings.sections.process import CircuitSettings, ExecutorSettings, HttpSettings, HttpToken, LogSettings
from latigo.settings.sections.schedule import (
    BackfillSettings,
    LateDataSettings,
    ObjectiveSettings,
    Override,
    PlannerSettings,
    ScheduleSettings,
)
from latigo.settings.sections.sensors import (
    PATH_PLACEHOLDER,
    FileSensors,
    InfluxSensors,
    PluginSensors,
    Sensors,
    SimulatedSensors,
    Source,
    TimeseriesSensors,
)
from latigo.settings.sections.task_queue import EventHubQueue, InternalQueue, PostgresQueue, TaskQueue
from latigo.settings.sections.timeseries import TimeseriesServer

__all__ = [
    "PATH_PLACEHOLDER",
    "BackfillSettings",
    "CircuitSettings",
    "EmbeddedLedger",
    "EventHubQueue",
    "ExecutorSettings",
    "FileSensors",
    "GordoDiscovery",
    "GordoModels",
    "HttpSettings",
    "HttpToken",
    "InfluxSensors",
    "InfluxSink",
    "InternalQueue",
    "LateDataSettings",
    "Ledger",
    "LogSettings",
    "MetadataApiDiscovery",
    "MetadataApiSettings",
    "ObjectiveSettings",
    "Override",
    "PlannerSettings",
    "PluginDiscovery",
    "PluginSensors",
    "PluginSink",
    "PostgresLedger",
    "PostgresQueue",
    "PostgresSink",
    "ScheduleSettings",
    "Sensors",
    "SimulatedSensors",
    "Sink",
    "Source",
    "TaskQueue",
    "TimeseriesSensors",
    "TimeseriesServer",
    "TimeseriesSink",
]
