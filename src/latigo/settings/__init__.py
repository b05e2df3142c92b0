"""Everything that can be configured, and the only reader of the configuration file and the environment.

Sources, strongest first: environment ``LATIGO_SECTION__KEY``, the TOML file, the defaults. A secret ``X`` may be
in a file of its own, named by ``X_file``. Parsing touches no network: a wrong setting and an unavailable system are
different failures.

``sections`` holds the tables and their keys, ``model`` all of them together, ``loading`` reads them, ``values`` and
``keys`` are their types and errors, and ``reference`` writes their documentation.
"""

from latigo.settings.loading import load_settings
from latigo.settings.model import Settings, overrides_for, predictions_kept_for
from latigo.settings.sections import (
    PATH_PLACEHOLDER,
    BackfillSettings,
    CircuitSettings,
    EmbeddedLedger,
    EventHubQueue,
    ExecutorSettings,
    FileSensors,
    GordoDiscovery,
    GordoModels,
    HttpSettings,
    HttpToken,
    InfluxSensors,
    InfluxSink,
    InternalQueue,
    LateDataSettings,
    MetadataApiDiscovery,
    MetadataApiSettings,
    ObjectiveSettings,
    Override,
    PluginDiscovery,
    PluginSensors,
    PluginSink,
    PostgresLedger,
    PostgresQueue,
    PostgresSink,
    ScheduleSettings,
    SimulatedSensors,
    Source,
    TimeseriesSensors,
    TimeseriesServer,
    TimeseriesSink,
)

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
    "MetadataApiDiscovery",
    "MetadataApiSettings",
    "ObjectiveSettings",
    "Override",
    "PluginDiscovery",
    "PluginSensors",
    "PluginSink",
    "PostgresLedger",
    "PostgresQueue",
    "PostgresSink",
    "ScheduleSettings",
    "Settings",
    "SimulatedSensors",
    "Source",
    "TimeseriesSensors",
    "TimeseriesServer",
    "TimeseriesSink",
    "load_settings",
    "overrides_for",
    "predictions_kept_for",
]
