"""What the sink of a campaign holds: a reader for each kind, past all links and all code that is judged."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg

from chaos.formulas import PROJECT

SINKS = ("postgres", "influx")
DATABASE = "predictions"  #: in InfluxDB
_TIME_LIMIT = aiohttp.ClientTimeout(total=60)
_PREDICTIONS = """
SELECT model, revision, column_group, tag, time, value FROM v_predictions
WHERE project = $1 AND ($2::text[] IS NULL OR model = ANY ($2))
"""


class Stored(NamedTuple):
    """A value in the sink."""

    model: str
    label: int
    column: tuple[str, str]  #: group and tag
    value: float
    revision: str | None = None  #: None: the sink does not keep it


#: Reads all values of some models, or of all.
Sink = Callable[[Sequence[str] | None], Awaitable[Sequence[Stored]]]


async def read_postgres(url: str, names: Sequence[str] | None) -> Sequence[Stored]:
    """Read the predictions in a ledger's database."""
    connection = await asyncpg.connect(url, timeout=30)
    try:
        rows = await connection.fetch(_PREDICTIONS, PROJECT, names)
    finally:
        await connection.close()
    return [
        Stored(
            row["model"],
            int(row["time"].timestamp()),
            (row["column_group"], row["tag"]),
            row["value"],
            row["revision"],
        )
        for row in rows
    ]


async def read_influx(socket: Path, names: Sequence[str] | None) -> Sequence[Stored]:
    """Read the points of every measurement, whatever their tags are."""
    these = "" if names is None else f' WHERE "machine" =~ /^({"|".join(names)})$/'
    return list(points(await _query(socket, f'SELECT "sensor_value" FROM /./{these} GROUP BY *')))


async def create_influx_database(socket: Path) -> None:
    """Create the database of the predictions, unless it is there."""
    await _query(socket, f"CREATE DATABASE {DATABASE}")


async def _query(socket: Path, statement: str) -> Mapping[str, Any]:
    """Return the answer to a statement, with times in seconds.

    Raises:
        aiohttp.ClientError: there is none, or it is no success.
    """
    form = {"q": statement, "db": DATABASE, "epoch": "s"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=_TIME_LIMIT) as session,
        session.post("http://influx/query", data=form, raise_for_status=True) as response,
    ):
        answer: Mapping[str, Any] = await response.json()
        return answer


def points(answer: Mapping[str, Any]) -> Iterator[Stored]:
    """Yield the points in an answer; two of a time and column under other tags are two.

    The group of a column is its measurement. That of a whole model bears the name of its group as that of its sensor.

    Raises:
        ValueError: the server could not answer.
    """
    (result,) = answer["results"]
    if "error" in result:
        raise ValueError(f"InfluxDB: {result['error']}")
    for series in result.get("series", ()):
        group, tags = series["name"], series["tags"]
        sensor = tags.get("sensor_name", "")
        column = (group, "" if sensor == group else sensor)
        for label, value in series["values"]:
            yield Stored(tags["machine"], label, column, float(value))
