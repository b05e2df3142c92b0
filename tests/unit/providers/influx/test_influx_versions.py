"""Versions 2 and 3 by responses of the form that their documentation gives; none of these servers was ever run."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgpack
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import Unavailable
from latigo.domain.windows import Window, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.influx.sensors import open_sensors
from latigo.runtime.clock import SystemClock
from latigo.settings import InfluxSensors

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOUR = Window(TEN, TEN + timedelta(hours=1))
AT = to_ns(TEN)


class Server:
    """Answers statements by how they begin, in the form of a version."""

    def __init__(self, version: Literal["2", "3"], answers: Mapping[str, Mapping[str, Any]]) -> None:
        self._version = version
        self._answers = answers
        self.statements: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        form: Mapping[str, Any] = request.query if self._version == "3" else await request.post()
        statements = str(form["q"]).split(";")
        self.statements += statements
        results = [{"statement_id": number, **self._result(text)} for number, text in enumerate(statements)]
        if self._version == "2":
            return web.Response(body=msgpack.packb({"results": results}), content_type="application/x-msgpack")
        assert request.method == "GET"
        assert len(statements) == 1, "must provide only one InfluxQl statement per query"
        assert "$" not in statements[0]
        return web.Response(text=json.dumps({"results": results}), content_type="application/json")

    def _result(self, statement: str) -> Mapping[str, Any]:
        return next((each for begin, each in self._answers.items() if statement.startswith(begin)), {})


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/query", server.answer)
    async with TestServer(app) as running:
        yield str(running.make_url("")).rstrip("/")


def one(columns: Sequence[str], values: Sequence[Sequence[Any]], **more: Any) -> Mapping[str, Any]:
    return {"series": [{"name": "sensors", "columns": columns, "values": values, **more}]}


def fields(*types: tuple[str, str]) -> Mapping[str, Any]:
    return one(["fieldKey", "fieldType"], types)


async def test_version_3_is_asked_for_a_field_of_one_type_without_a_cast():
    server = Server(
        "3",
        {
            "SHOW FIELD KEYS": fields(("Value", "float"), ("Q", "integer")),
            "SELECT": one(["time", "Value", "Q"], [[AT, 1.5, 192], [AT + 1, 2.0, 64]], tags={"tag": "A"}),
        },
    )
    bad = BadReadings(SystemClock())
    async with serving(server) as url:
        section = InfluxSensors(url=url, version="3", token=SecretStr("t"), quality_field="Q", good=("192",))
        async with open_sensors(section, SystemClock(), bad) as sensors:
            read = await sensors.get_data_for_range(["A"], HOUR, max_bytes=10_000)

    assert (read["A"].times.tolist(), read["A"].values.tolist()) == ([AT], [1.5])
    assert [(count.fault, count.readings) for count in bad.counts()] == [(Fault.QUALITY, 1)]
    assert not any("::" in statement for statement in server.statements)


async def test_a_response_of_version_3_that_is_marked_partial_is_not_taken():
    server = Server(
        "3",
        {
            "SHOW FIELD KEYS": fields(("Value", "float")),
            "SELECT": one(["time", "Value"], [[AT, 1.5]], tags={"tag": "A"}, partial=True),
        },
    )
    async with serving(server) as url:
        section = InfluxSensors(url=url, version="3")
        async with open_sensors(section, SystemClock()) as sensors:
            with pytest.raises(Unavailable):
                await sensors.get_data_for_range(["A"], Window(TEN, TEN + timedelta(microseconds=1)), max_bytes=10_000)


async def test_version_2_is_asked_for_every_type_as_version_1():
    readings = one(
        ["time", "Value", "Value_1"], [[AT, None, 1.5], [AT + 1, True, None]], tags={"tag": "A"}, partial=False
    )
    server = Server(
        "2",
        {
            "SHOW FIELD KEYS": fields(("Value", "float"), ("Value", "boolean")),
            'SELECT "Value"::boolean, "Value"::float FROM': readings,
        },
    )
    async with serving(server) as url:
        section = InfluxSensors(url=url, version="2", token=SecretStr("t"))
        async with open_sensors(section, SystemClock()) as sensors:
            read = await sensors.get_data_for_range(["A"], HOUR, max_bytes=10_000)

    assert (read["A"].times.tolist(), read["A"].values.tolist()) == ([AT, AT + 1], [1.5, 1.0])
