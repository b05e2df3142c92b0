"""``[[predictions]]``: the sinks of the predictions."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, Tag

from latigo.settings.keys import PLUGIN
from latigo.settings.sections.base import Section, by_kind
from latigo.settings.sections.influx import InfluxServer
from latigo.settings.sections.plugin import PluginOptions
from latigo.settings.sections.timeseries import TimeseriesServer
from latigo.settings.values import InfluxName, PluginKind, Positive


class _Sink(Section):
    kind: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.:-]*$")] | None = Field(
        default=None, description="Name of the sink in logs and circuits; without it, its kind.", examples=["history"]
    )
    required: bool = Field(default=True, description="Whether a task counts as stored only once this sink has it.")

    @property
    def sink_name(self) -> str:
        """Return the name of the sink in logs, circuits and the ledger; no two sinks have the same."""
        return self.name or self.kind.removeprefix("python:").lower()


class PostgresSink(_Sink):
    """The ledger's own database."""

    kind: Literal["postgres"] = Field(default="postgres", description="Where predictions go.")
    retention: Positive = Field(
        default=timedelta(days=90), description="How long predictions are kept, by their data time."
    )
    write_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one write.")


class InfluxSink(InfluxServer, _Sink):
    """InfluxDB 1.x in Gordo's own layout, so that boards made for it go on working."""

    kind: Literal["influx"] = Field(default="influx", description="Where predictions go.")
    database: InfluxName = Field(
        default="predictions",
        description='Database of the predictions; has to exist. "pred-{project}" is one for each project.',
    )
    write_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit of one request; a long window is written in several."
    )


class TimeseriesSink(TimeseriesServer, _Sink):
    """The Omnia Timeseries API: a series for each column, ``TAG|MODEL|COLUMN``."""

    kind: Literal["timeseries_api"] = Field(default="timeseries_api", description="Where predictions go.")
    project_in_name: bool = Field(
        default=False, description="Add the project to the names of series, where names of models repeat."
    )
    metadata: bool = Field(
        default=False,
        description="Describe each model and revision to [metadata_api], once its first window is stored.",
    )
    write_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one write.")


class PluginSink(PluginOptions, _Sink):
    """A sink of your own: the factory of a Python module, or the name by which a package offers one."""

    kind: PluginKind = Field(description="Where predictions go.", examples=[PLUGIN])


Sink = Annotated[
    Annotated[PostgresSink, Tag("postgres")]
    | Annotated[InfluxSink, Tag("influx")]
    | Annotated[TimeseriesSink, Tag("timeseries_api")]
    | Annotated[PluginSink, Tag("python")],
    by_kind("postgres", "influx", "timeseries_api", plugins="predictions"),
]
