"""Plug-ins, good and bad, as the settings name them: ``python:tests.support.plugins:open_good``."""

import sys
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from latigo.domain.series import Point, Readings
from latigo.domain.windows import Window

NO_FACTORY = "text"


class GoodSensors:
    """All that a source has to have; with other names of arguments, an extra one, and no base class."""

    downstream = "sensors/good"

    async def get_sensor_list(self) -> Sequence[str]:
        return ["A"]

    def sensor_exists(self, tag: str, /) -> Awaitable[bool]:
        return self._exists(tag)

    async def _exists(self, tag: str) -> bool:
        return tag == "A"

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        return f"{parameters} {window}"

    async def get_data_for_range(
        self, names: Sequence[str], period: Window, *, max_bytes: int, quick: bool = True
    ) -> Readings:
        raise NotImplementedError

    async def get_last_before(self, *_: Any) -> Mapping[str, Point]:
        return {}

    async def ping(self) -> str:
        return "good"


class BadSensors:
    """Nothing of it is as it has to be."""

    downstream = 7
    sensor_exists = True

    def get_sensor_list(self) -> Sequence[str]:
        return []

    async def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        return f"{parameters} {window}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window) -> Readings:
        raise NotImplementedError

    async def get_last_before(self, tags: Sequence[str], time: datetime, not_older_than: datetime, zone: str) -> Any:
        return {str(each): Point(0, 0.0) for each in (tags, time, not_older_than, zone)}


class NoSink:
    """A sink that can only be written to."""

    downstream = "sink/none"
    fenced = False

    async def put_predictions(self, predictions: Any, fence: Any) -> int:  # noqa: ARG002 - as the protocol has it
        return len(predictions)


class OldSink(NoSink):
    """A sink that returns how many rows it was given, as the protocol once had it."""

    async def ping(self, projects: Sequence[str]) -> str:
        return ", ".join(projects)

    async def get_predictions(self, model: Any, window: Window) -> Sequence[Any]:
        raise NotImplementedError


@asynccontextmanager
async def open_good(*, region: str = "north", password: str = "") -> AsyncIterator[GoodSensors]:  # noqa: ARG001
    yield GoodSensors()


@asynccontextmanager
async def open_bad() -> AsyncIterator[BadSensors]:
    yield BadSensors()


@asynccontextmanager
async def open_no_sink() -> AsyncIterator[NoSink]:
    yield NoSink()


@asynccontextmanager
async def open_old_sink() -> AsyncIterator[OldSink]:
    yield OldSink()


async def await_good() -> GoodSensors:
    return GoodSensors()


def return_good() -> GoodSensors:
    return GoodSensors()


def open_leaving(*, password: str) -> None:
    """End the process, with its argument as the last word."""
    sys.exit(password)


class Address(BaseModel):
    port: Annotated[int, Field(ge=1)]


class Options(BaseModel):
    """What `open_historian` takes."""

    region: str
    addresses: list[Address] = []
    password: SecretStr = SecretStr("")
    user: str = ""

    @field_validator("user")
    @classmethod
    def _known(cls, user: str) -> str:
        if user == "nobody":
            raise ValueError(f"{user} may not read")
        return user

    @field_validator("password")
    @classmethod
    def _long(cls, password: SecretStr) -> SecretStr:
        if len(text := password.get_secret_value()) == 7:
            raise ValueError(f"{text} is guessed easily")
        return password

    @model_validator(mode="after")
    def _fits(self) -> "Options":
        if self.region == "south" and self.password.get_secret_value():
            raise ValueError(f"the south has no password such as {self.password.get_secret_value()}")
        return self


class AnyOptions(BaseModel, extra="allow"):
    region: str


class OptionsSensors(GoodSensors):
    """A source that keeps its options."""

    def __init__(self, options: BaseModel) -> None:
        self.options = options


@asynccontextmanager
async def open_historian(options: Options) -> AsyncIterator[OptionsSensors]:
    yield OptionsSensors(options)


@asynccontextmanager
async def open_named(*, given: "AnyOptions") -> AsyncIterator[OptionsSensors]:
    yield OptionsSensors(given)


def offer(folder: Path, name: str, entries: str) -> None:
    """Write into a folder what an installed package with these entry points leaves; the folder goes on the path."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
