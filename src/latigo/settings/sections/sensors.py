"""``[sensors]``, or several ``[[sensors]]``: the sources of the readings."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ByteSize, Field, Tag, ValidationInfo, field_validator, model_validator

from latigo.settings.keys import ONE, PLUGIN, SEVERAL
from latigo.settings.sections.base import ONE_OR_SEVERAL, Section, by_kind
from latigo.settings.sections.influx import InfluxServer
from latigo.settings.sections.plugin import PluginOptions
from latigo.settings.sections.timeseries import TimeseriesServer
from latigo.settings.values import (
    SYSTEM_NAME,
    Columns,
    InfluxName,
    InfluxText,
    Markers,
    PathName,
    PluginKind,
    Positive,
    Separator,
    TagPatterns,
    Text,
    Texts,
    TimeFormats,
    influx_name,
    one_line,
    text_encoding,
    time_zone,
)

TextReadings = Literal["missing", "refuse"]
TEXT_READINGS = "Text where a number belongs: missing skips it and counts it, refuse refuses the window."
GOOD_QUALITIES = "Qualities of good readings; others are skipped and counted."

#: Placeholders in the path of files.
PATH_PLACEHOLDER = re.compile(r"\{(tag|year|month|day|hour|any)\}")
_ANY_PLACEHOLDER = re.compile(r"\{\w*\}")

_PRESETS: Mapping[str, Mapping[str, object]] = {
    "ncs": {
        "layout": "long",
        "separator": ";",
        "columns": ("Sensor", "Value", "Time", "Status"),
        "time_column": ("Time",),
        "tag_column": "Sensor",
        "value_column": "Value",
        "quality_column": "Status",
        "good": ("192",),
    },
}


def _qualities_of(key: str, good: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
    """Refuse qualities without the place where they stand, or the other way about."""
    place = given.data.get(key, "")
    if good and not place:
        raise ValueError(f"needs a {key}")
    if place and not good:
        raise ValueError(f"should name the good qualities of {key}, such as [192]")
    return good


class _Sensors(Section):
    kind: str
    name: Annotated[str, Field(pattern=SYSTEM_NAME)] | None = Field(
        default=None,
        description="Name of the source in logs and circuits; without it, its kind. A source of your own names itself.",
        examples=["lab"],
    )
    tags: TagPatterns = Field(
        default=(),
        description="With several sources, patterns on the names of the tags that this one has. The first source with a"
        " pattern that matches is read; the last one has all other tags.",
    )
    retention: Positive | None = Field(
        default=None,
        description="How long the source keeps readings; latigo backfill leaves out what is older. Without it, an"
        " InfluxDB is asked, and other sources count as keeping all.",
        examples=["400d"],
    )
    read_budget: ByteSize = Field(
        default=ByteSize(128_000_000),
        ge=1_000_000,
        description="Memory that all readings of one process share; a window that would exceed its share is split."
        " Several sources share it, so that it is the same for all of them.",
    )

    @property
    def source_name(self) -> str:
        """Return the name of the source in logs and circuits; no two sources have the same."""
        return self.name or self.kind.removeprefix("python:").lower()


class FileSensors(_Sensors):
    """CSV or Parquet files."""

    kind: Literal["files"] = Field(default="files", description="Where readings come from.")
    preset: Literal["", "ncs"] = Field(
        default="",
        description="A known form of files, which sets the keys below that are not given. ncs: rows of Sensor;Value;"
        "Time;Status without a header, in folders and files of one tag and year; 192 is the good status.",
    )
    path: PathName = Field(
        default=Path("sensors"),
        description="A file, a folder of files, or a pattern such as *.csv. With {tag} in it, such as"
        " {tag}/{tag}_{year}.csv, each file has the readings of the tag that its path names; {year}, {month}, {day} and"
        " {hour} are numbers, {any} is any text.",
    )
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")
    strict: bool = Field(
        default=False,
        description="Refuse a window with a row or cell that cannot be read; otherwise it is skipped and counted.",
    )
    format: Literal["auto", "csv", "parquet"] = Field(default="auto", description="auto goes by the file's ending.")
    layout: Literal["wide", "long"] = Field(
        default="wide", description="wide has one column a tag, long has one row a reading."
    )
    encoding: Annotated[str, AfterValidator(text_encoding)] = Field(
        default="utf-8", description="Encoding of a CSV file that does not begin with a byte order mark."
    )
    separator: Separator = Field(default=",", description="Separator of columns in a CSV file.")
    skip_lines: int = Field(default=0, ge=0, le=10_000, description="Lines before the header of a CSV file.")
    comment: Annotated[str, Field(max_length=10), AfterValidator(one_line)] = Field(
        default="#", description="Lines of a CSV file that begin so are no rows."
    )
    columns: Columns = Field(
        default=(), description="Names of the columns, for CSV files without a header. An empty name is not used."
    )
    decimal_point: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        default=".", description="Decimal point of numbers in a CSV file."
    )
    thousands: Annotated[str, Field(max_length=1)] = Field(
        default="", description="Separator of groups of three digits in numbers of a CSV file."
    )
    time_column: Annotated[Texts, Field(min_length=1, max_length=2)] = Field(
        default=("time",), description="Column of the times; or two columns, of the date and of the time of day."
    )
    time_format: TimeFormats = Field(
        default=(),
        description="Formats of the times, tried in order, such as %d.%m.%Y %H:%M; or excel, for serial dates. Without"
        " one, times are ISO 8601, or seconds, ms, us or ns since 1970.",
    )
    timezone: Annotated[str, AfterValidator(time_zone)] = Field(
        default="UTC", description="Time zone of times without an offset from UTC."
    )
    tag_column: Text = Field(default="tag", description="Column of the tags, in the long layout.")
    value_column: Text = Field(
        default="value", description="Column of the values, in the long layout and with {tag} in the path."
    )
    quality_column: str | None = Field(
        default=None,
        description="Column of the quality of a reading; in the wide layout its name with {tag}, such as {tag}.status."
        " Without it, files of one value a row that have a column such as quality or status are refused; an empty text"
        " reads them whatever the quality.",
        examples=["quality"],
    )
    good: Markers = Field(default=(), description=GOOD_QUALITIES)
    missing: Markers = Field(
        default=(),
        description="Values that stand for no reading, besides empty, NaN, NA, N/A, null, \\N, - and 1.#QNAN.",
    )
    text: TextReadings = Field(default="missing", description=TEXT_READINGS)

    @model_validator(mode="before")
    @classmethod
    def _by_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {**_PRESETS.get(str(given.get("preset", "")), {}), **given}

    @field_validator("path")
    @classmethod
    def _with_known_placeholders(cls, path: Path) -> Path:
        for name in _ANY_PLACEHOLDER.findall(str(path)):
            if not PATH_PLACEHOLDER.fullmatch(name):
                raise ValueError(
                    f"has {name}, which is none of {{tag}}, {{year}}, {{month}}, {{day}}, {{hour}}, {{any}}"
                )
        return path

    @field_validator("decimal_point")
    @classmethod
    def _is_no_digit(cls, decimal_point: str) -> str:
        if decimal_point.isalnum() or decimal_point in '+-"':
            raise ValueError("should be a character such as . or ,")
        return decimal_point

    @field_validator("thousands")
    @classmethod
    def _not_the_decimal_point(cls, thousands: str, given: ValidationInfo) -> str:
        if thousands and thousands == given.data.get("decimal_point"):
            raise ValueError(f"should not be {thousands!r}, which is the decimal point")
        if thousands.isalnum() or (thousands and thousands in '+-"'):
            raise ValueError("should be a character such as . or a space")
        return thousands

    @field_validator("good")
    @classmethod
    def _with_a_column(cls, good: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
        return _qualities_of("quality_column", good, given)


class InfluxSensors(InfluxServer, _Sensors):
    """InfluxDB 1.x, or a server that understands its queries."""

    kind: Literal["influx"] = Field(default="influx", description="Where readings come from.")
    database: InfluxName = Field(default="sensors", description="Database of the readings.")
    measurement: InfluxName = Field(default="sensors", description="Measurement of the readings.")
    tag_key: InfluxName = Field(default="tag", description="Key of the tag that names the sensor.")
    field: InfluxName = Field(default="Value", description="Field of the value.")
    where: dict[InfluxName, InfluxText] = Field(
        default={},
        max_length=20,
        description='Tags that readings have besides, such as {site = "a"}; others are not read. An empty text is for'
        " series without the tag.",
    )
    quality_field: Annotated[str, AfterValidator(influx_name)] = Field(
        default="", description="Field of the quality of a reading."
    )
    good: Markers = Field(default=(), description=GOOD_QUALITIES)
    text: TextReadings = Field(default="missing", description=TEXT_READINGS)
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")

    @field_validator("where")
    @classmethod
    def _of_tags(cls, where: dict[str, str], given: ValidationInfo) -> dict[str, str]:
        for key in where:
            if key == given.data.get("tag_key"):
                raise ValueError(f"has {key!r}, which is the tag_key")
            if key.lower() == "time":
                raise ValueError(f"has {key!r}, which is no tag")
        return where

    @field_validator("quality_field")
    @classmethod
    def _another_field(cls, quality_field: str, given: ValidationInfo) -> str:
        if quality_field and quality_field == given.data.get("field"):
            raise ValueError("is the field of the value")
        return quality_field

    @field_validator("good")
    @classmethod
    def _with_a_field(cls, good: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
        return _qualities_of("quality_field", good, given)


class TimeseriesSensors(TimeseriesServer, _Sensors):
    """The Omnia Timeseries API."""

    kind: Literal["timeseries_api"] = Field(default="timeseries_api", description="Where readings come from.")
    good: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        default=(192,), min_length=1, description="Statuses of good readings; others are skipped and counted."
    )
    federation_source: Literal["", "IMS", "TSDB", "DataLake"] = Field(
        default="", description="Where the API reads: the historian, its database or the lake; by default it decides."
    )
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")


class SimulatedSensors(_Sensors):
    """Made-up readings of any tag, the same for the same seed: for demonstrations, never for a plant."""

    kind: Literal["simulated"] = Field(default="simulated", description="Where readings come from.")
    seed: int = Field(default=0, ge=0, description="Seed of the readings.")
    step: Positive = Field(default=timedelta(seconds=10), description="Time between two readings of a tag.")


class PluginSensors(PluginOptions, _Sensors):
    """A source of your own: the factory of a Python module, or the name by which a package offers one."""

    kind: PluginKind = Field(description="Where readings come from.", examples=[PLUGIN])


Source = Annotated[
    Annotated[FileSensors, Tag("files")]
    | Annotated[InfluxSensors, Tag("influx")]
    | Annotated[TimeseriesSensors, Tag("timeseries_api")]
    | Annotated[SimulatedSensors, Tag("simulated")]
    | Annotated[PluginSensors, Tag("python")],
    by_kind("files", "influx", "timeseries_api", "simulated", plugins="sensors"),
]
Sensors = Annotated[
    Annotated[Source, Tag(ONE)] | Annotated[tuple[Source, ...], Field(max_length=20), Tag(SEVERAL)],
    ONE_OR_SEVERAL,
]
