"""``[sensors]``: the source of the readings."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field, Tag, ValidationInfo, field_validator

from latigo.settings.keys import PLUGIN
from latigo.settings.sections.base import Section, by_kind
from latigo.settings.sections.influx import InfluxServer
from latigo.settings.sections.plugin import PluginOptions
from latigo.settings.values import InfluxName, PathName, PluginKind, Positive, Separator, Text, time_zone


class _Sensors(Section):
    kind: str
    read_budget: ByteSize = Field(
        default=ByteSize(128_000_000),
        ge=1_000_000,
        description="Memory that all readings of one process share; a window that would exceed its share is split.",
    )


class FileSensors(_Sensors):
    """CSV or Parquet files."""

    kind: Literal["files"] = Field(default="files", description="Where readings come from.")
    path: PathName = Field(
        default=Path("sensors"), description="A file, a folder of files, or a pattern such as *.csv."
    )
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")
    format: Literal["auto", "csv", "parquet"] = Field(default="auto", description="auto goes by the file's ending.")
    layout: Literal["wide", "long"] = Field(
        default="wide", description="wide has one column a tag, long has one row a reading."
    )
    separator: Separator = Field(default=",", description="Separator of columns in a CSV file.")
    decimal_point: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        default=".", description="Decimal point of numbers in a CSV file."
    )
    time_column: Text = Field(default="time", description="Column of the times.")
    timezone: Annotated[str, AfterValidator(time_zone)] = Field(
        default="UTC", description="Time zone of times without an offset from UTC."
    )
    tag_column: Text = Field(default="tag", description="Column of the tags, in the long layout.")
    value_column: Text = Field(default="value", description="Column of the values, in the long layout.")

    @field_validator("decimal_point")
    @classmethod
    def _not_the_separator(cls, decimal_point: str, given: ValidationInfo) -> str:
        if decimal_point == given.data.get("separator"):
            raise ValueError(f"should not be {decimal_point!r}, which is the separator")
        return decimal_point


class InfluxSensors(InfluxServer, _Sensors):
    """InfluxDB 1.x, or a server that understands its queries."""

    kind: Literal["influx"] = Field(default="influx", description="Where readings come from.")
    database: InfluxName = Field(default="sensors", description="Database of the readings.")
    measurement: InfluxName = Field(default="sensors", description="Measurement of the readings.")
    tag_key: InfluxName = Field(default="tag", description="Key of the tag that names the sensor.")
    field: InfluxName = Field(default="Value", description="Field of the value.")
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")


class SimulatedSensors(_Sensors):
    """Made-up readings of any tag, the same for the same seed: for demonstrations, never for a plant."""

    kind: Literal["simulated"] = Field(default="simulated", description="Where readings come from.")
    seed: int = Field(default=0, ge=0, description="Seed of the readings.")
    step: Positive = Field(default=timedelta(seconds=10), description="Time between two readings of a tag.")


class PluginSensors(PluginOptions, _Sensors):
    """A source of your own: the factory of a Python module, or the name by which a package offers one."""

    kind: PluginKind = Field(description="Where readings come from.", examples=[PLUGIN])


Sensors = Annotated[
    Annotated[FileSensors, Tag("files")]
    | Annotated[InfluxSensors, Tag("influx")]
    | Annotated[SimulatedSensors, Tag("simulated")]
    | Annotated[PluginSensors, Tag("python")],
    by_kind("files", "influx", "simulated", plugins="sensors"),
]
