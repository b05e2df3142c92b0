"""Every query of the dashboard, as Grafana sends it, on a real InfluxDB with predictions that Latigo wrote."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import to_ns
from latigo.testing.predictions import FENCE
from tests.support.grafana import Values, dashboard, filled_in, queries
from tests.support.influxd import InfluxDatabase, fresh_influx_database, select, sensor_line, write_lines
from tests.support.prediction_stores import influx_predictions

BEGIN = datetime(2026, 3, 1, 8, tzinfo=UTC)
STEP = timedelta(minutes=10)
UNTIL = BEGIN + timedelta(hours=2)
INTERVAL = timedelta(minutes=30)

PROJECT, OTHER_PROJECT = "plant (a)", "plant a"
PUMP, NEIGHBOUR = "pump.1/a", "pumpx1/a"  # what an unescaped dot takes for the same
FLOW, HEAT = "GRA FLOW|1 [m3/h]", r"heat $1 \ °C"

#: Of each column the values at 8:00, 8:10 and 8:30. Intervals begin at 8:00 and 8:30.
PUMP_SAYS: Mapping[Column, Sequence[float]] = {
    Column("model-output", FLOW): (1.0, 3.0, 5.0),
    Column("model-output", HEAT): (10.0, 20.0, 50.0),
    Column("tag-anomaly-scaled", FLOW): (0.1, 0.4, 0.3),
    Column("tag-anomaly-scaled", HEAT): (0.8, 0.2, 0.9),
    Column("anomaly-confidence", FLOW): (1.1, 1.4, 1.3),
    Column("anomaly-confidence", HEAT): (1.8, 1.2, 1.9),
    Column("total-anomaly-scaled", ""): (2.5, 2.25, 2.75),
    Column("total-anomaly-unscaled", ""): (40.0, 90.0, 60.0),
    Column("total-anomaly-confidence", ""): (0.5, 0.75, 1.25),
}
NEIGHBOUR_SAYS = {Column("model-output", FLOW): (100.0,)}  # no anomaly detector
READINGS = {FLOW: (2.0, 4.0, 6.0), HEAT: (11.0, 13.0, 15.0), "GRA FLOW": (99.0, 99.0, 99.0)}

QUERIES = {query.of: query for query in queries(dashboard())}
PUMP_CHOSEN: Values = {"project": PROJECT, "model": [PUMP], "sensor": [FLOW, HEAT]}

#: By query, for the pump and both of its sensors: of each series its tags, and values by interval.
OF_THE_PUMP: Mapping[str, Mapping[tuple[str, ...], Sequence[float]]] = {
    "Total anomaly score A": {(PUMP,): [2.5, 2.75]},
    "Total anomaly score B": {(PUMP,): [90.0, 60.0]},
    "Total anomaly confidence A": {(PUMP,): [0.75, 1.25]},
    "Anomaly by sensor A": {(PUMP, FLOW): [0.4, 0.3], (PUMP, HEAT): [0.8, 0.9]},
    "Anomaly confidence by sensor A": {(PUMP, FLOW): [1.4, 1.3], (PUMP, HEAT): [1.8, 1.9]},
    "Readings and predictions: $sensor A": {(FLOW,): [3.0, 6.0], (HEAT,): [12.0, 15.0]},
    "Readings and predictions: $sensor B": {(PUMP, FLOW): [2.0, 5.0], (PUMP, HEAT): [15.0, 50.0]},
}


class Plant:
    """The databases behind both data sources."""

    def __init__(self, predictions: InfluxDatabase, sensors: InfluxDatabase) -> None:
        self._databases = {"latigo-predictions": predictions, "latigo-sensors": sensors}

    async def ask(self, query: str, values: Values, until: datetime = UNTIL) -> list[dict[str, Any]]:
        """The series of an answer."""
        _, source, text = QUERIES[query]
        return await select(self._databases[source], filled_in(text, values, BEGIN, until, INTERVAL))

    async def lines(self, query: str, values: Values) -> dict[tuple[str, ...], list[float]]:
        """What a panel draws: values by the tags of their series."""
        result = await self.ask(query, values)
        first = to_ns(BEGIN)
        for series in result:
            assert [time for time, _ in series["values"]] == [first, first + int(INTERVAL.total_seconds() * 1e9)]
        return {tuple(series["tags"].values()): [value for _, value in series["values"]] for series in result}

    async def offered(self, variable: str, **values: str | Sequence[str]) -> list[str]:
        """What a variable lets one choose from."""
        return [value for series in await self.ask(variable, values) for _, value in series["values"]]


@pytest.fixture
async def plant(influx_server: str) -> AsyncIterator[Plant]:
    async with (
        fresh_influx_database(influx_server) as predictions,
        fresh_influx_database(influx_server) as sensors,
        influx_predictions(predictions) as sink,
    ):
        await sink.put_predictions(said(ModelRef(PROJECT, PUMP), PUMP_SAYS), FENCE)
        await sink.put_predictions(said(ModelRef(PROJECT, NEIGHBOUR), NEIGHBOUR_SAYS), FENCE)
        await sink.put_predictions(said(ModelRef(OTHER_PROJECT, PUMP), NEIGHBOUR_SAYS), FENCE)
        await write_readings(sensors)
        yield Plant(predictions, sensors)


def said(model: ModelRef, columns: Mapping[Column, Sequence[float]]) -> Predictions:
    rows = len(next(iter(columns.values())))
    times = np.array([to_ns(BEGIN + offset * STEP) for offset in (0, 1, 3)[:rows]], np.int64)
    return Predictions(model, "1600000000000", times, tuple(columns), np.array(list(columns.values())).T)


async def write_readings(sensors: InfluxDatabase) -> None:
    lines = [
        sensor_line(tag, value, to_ns(BEGIN + offset * STEP))
        for tag, values in READINGS.items()
        for offset, value in zip((0, 1, 3), values, strict=True)
    ]
    await write_lines(sensors, lines)


async def test_variables_offer_projects_their_models_and_the_sensors_of_these(plant: Plant):
    assert await plant.offered("project") == [PROJECT, OTHER_PROJECT]
    assert await plant.offered("model", project=PROJECT) == [PUMP, NEIGHBOUR]
    assert await plant.offered("model", project=OTHER_PROJECT) == [PUMP]
    assert await plant.offered("sensor", project=PROJECT, model=[PUMP]) == [FLOW, HEAT]
    assert await plant.offered("sensor", project=PROJECT, model=[NEIGHBOUR]) == [FLOW]
    assert await plant.offered("sensor", project=OTHER_PROJECT, model=[PUMP, NEIGHBOUR]) == [FLOW]


@pytest.mark.parametrize("query", OF_THE_PUMP)
async def test_panels_draw_what_was_written_of_the_chosen_model_and_sensors(plant: Plant, query: str):
    assert await plant.lines(query, PUMP_CHOSEN) == OF_THE_PUMP[query]


@pytest.mark.parametrize("query", [query for query, lines in OF_THE_PUMP.items() if (PUMP, HEAT) in lines])
async def test_panels_draw_one_sensor_where_one_is_chosen(plant: Plant, query: str):
    drawn = await plant.lines(query, {**PUMP_CHOSEN, "sensor": HEAT})  # as a repeated panel has it

    assert drawn == {(PUMP, HEAT): OF_THE_PUMP[query][PUMP, HEAT]}


async def test_two_models_are_drawn_apart(plant: Plant):
    query = "Readings and predictions: $sensor B"

    result = await plant.ask(query, {**PUMP_CHOSEN, "model": [PUMP, NEIGHBOUR], "sensor": FLOW})

    assert {series["tags"]["machine"]: [value for _, value in series["values"]] for series in result} == {
        PUMP: [2.0, 5.0],
        NEIGHBOUR: [100.0],
    }


async def test_a_model_without_a_score_leaves_its_panels_empty(plant: Plant):
    for query in OF_THE_PUMP:
        if not query.startswith("Readings"):
            assert await plant.ask(query, {**PUMP_CHOSEN, "model": [NEIGHBOUR]}) == []


async def test_the_table_has_the_time_of_the_newest_point_of_every_model_of_the_project(plant: Plant):
    result = await plant.ask("Freshest predictions A", PUMP_CHOSEN)

    assert {series["tags"]["machine"]: series["values"][0][0] for series in result} == {
        PUMP: to_ns(BEGIN + 3 * STEP),
        NEIGHBOUR: to_ns(BEGIN),
    }


async def test_only_the_chosen_time_is_drawn(plant: Plant):
    (series,) = await plant.ask("Total anomaly score A", PUMP_CHOSEN, until=BEGIN + timedelta(minutes=5))

    assert series["values"] == [[to_ns(BEGIN), 2.5]]


def test_every_query_of_the_dashboard_is_tried_here():
    assert set(QUERIES) == {*OF_THE_PUMP, "Freshest predictions A", "project", "model", "sensor"}
