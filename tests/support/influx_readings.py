"""Responses with readings as InfluxDB 1.6 sends them."""

import json
from collections.abc import Sequence
from typing import Any

from latigo.domain.series import Series
from latigo.providers.influx.fields import Selection
from latigo.providers.influx.query import Layout
from latigo.providers.influx.readings import readings_of
from latigo.providers.influx.responses import Result, decode
from latigo.providers.qualities import Qualities

PLANT = Layout("sensors", "tag", "Value")
VALUE = Selection(('"Value"',))
Row = Sequence[Any]


def series(rows: Sequence[Row], tag: str = "GRA", **more: Any) -> dict[str, Any]:
    return {"name": "sensors", "tags": {"tag": tag}, "columns": ["time", "Value"], "values": list(rows), **more}


def answer(*results: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{"statement_id": number, **result} for number, result in enumerate(results)]}


def result_of(document: dict[str, Any]) -> Result:
    """The one result of a response in JSON."""
    (result,) = decode("application/json", json.dumps(document).encode())
    return result


def read_as_series(result: Result, start: int = -(2**63), end: int = 2**63 - 1) -> Series:
    """The readings of a sensor GRA that have no quality."""
    return readings_of(result, PLANT, VALUE, Qualities(()), "GRA", start, end).series
