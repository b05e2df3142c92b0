"""The source: which sensors there are, and their readings."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from math import nan

import numpy as np

from latigo.domain.errors import Reason, Rejected, TooLarge, describe_tags
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, to_ns
from latigo_tilstandomatic.database import NAME, Database, Options

_READING = 16  #: bytes: time and value
_UNKNOWN = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT tag FROM sensors)"
_OF_WINDOW = "FROM readings WHERE tag IN (SELECT value FROM json_each(?)) AND time >= ? AND time < ?"
_COUNT = f"SELECT count(*) {_OF_WINDOW}"
_READ = f"SELECT tag, time, value {_OF_WINDOW} ORDER BY time, rowid"
#: The value stands in the row of the greatest time: SQLite promises that.
_LAST = f"SELECT tag, max(time), value {_OF_WINDOW} AND abs(value) <= 1.7976931348623157e308 GROUP BY tag"


class Sensors:
    """The sensors of a plant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def downstream(self) -> str:
        return self._database.downstream

    async def ping(self) -> str:
        (count,) = await self._database.run(lambda file: file.execute("SELECT count(*) FROM sensors").fetchone())
        return f"{count} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        rows = await self._database.run(lambda file: file.execute("SELECT tag FROM sensors").fetchall())
        return sorted(tag for (tag,) in rows)

    async def sensor_exists(self, name: str) -> bool:
        return not await self._database.run(lambda file: _unknown(file, [name]))

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        tags = json.dumps(list(parameters.values()), ensure_ascii=False)
        return f"{_READ} -- {tags}, {to_ns(window.start)}, {to_ns(window.end)}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        start, end = to_ns(window.start), to_ns(window.end)
        return await self._database.run(lambda file: _read(file, tags, (start, end), max_bytes))

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        asked = (json.dumps(tags), to_ns(not_older_than), to_ns(time))
        rows = await self._database.run(lambda file: file.execute(_LAST, asked).fetchall())
        return {tag: Point(last, value) for tag, last, value in rows}


def _unknown(file: sqlite3.Connection, tags: Sequence[str]) -> list[str]:
    return [tag for (tag,) in file.execute(_UNKNOWN, (json.dumps(tags),))]


def _read(file: sqlite3.Connection, tags: Sequence[str], between: tuple[int, int], max_bytes: int) -> Readings:
    if unknown := _unknown(file, tags):
        raise Rejected(f"the plant has no sensor {describe_tags(unknown)}", reason=Reason.UNKNOWN_SENSOR)
    asked = (json.dumps(tags), *between)
    (count,) = file.execute(_COUNT, asked).fetchone()
    if count * _READING > max_bytes:
        raise TooLarge(f"{count} readings take more than {max_bytes} bytes")
    found: dict[str, list[tuple[int, float]]] = {tag: [] for tag in tags}
    for tag, time, value in file.execute(_READ, asked):
        found[tag].append((time, nan if value is None else value))
    return {tag: _series(points) for tag, points in found.items()}


def _series(points: Sequence[tuple[int, float]]) -> Series:
    times, values = zip(*points, strict=True) if points else ((), ())
    return Series(np.array(times, np.int64), np.array(values, np.float64))


@asynccontextmanager
async def open_sensors(options: Options) -> AsyncIterator[Sensors]:
    """Open the source; the factory that the entry point names."""
    yield Sensors(Database(options, f"sensors/{NAME}"))
