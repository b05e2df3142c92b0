"""What a campaign reads in InfluxDB, and where its predictions go."""

from typing import Any

import pytest

from chaos.__main__ import _arguments
from chaos.report import title
from chaos.sinks import SINKS, Stored, points
from chaos.world import Size


def series(measurement: str, sensor: str, *values: list[float], **more: str) -> dict[str, Any]:
    tags = {"machine": "pump-00", "project": "campaign", "sensor_name": sensor, **more}
    return {"name": measurement, "tags": tags, "columns": ["time", "sensor_value"], "values": list(values)}


def answer(*tables: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{"statement_id": 0, "series": list(tables)}]}


def test_a_measurement_is_a_column_group_and_that_of_a_whole_model_has_no_tag():
    stored = list(
        points(answer(series("model-output", "PT-1", [10, 1.5], [15, 2]), series("total", "total", [10, 3.0])))
    )

    assert stored == [
        Stored("pump-00", 10, ("model-output", "PT-1"), 1.5),
        Stored("pump-00", 15, ("model-output", "PT-1"), 2.0),
        Stored("pump-00", 10, ("total", ""), 3.0),
    ]
    assert {value.revision for value in stored} == {None}


def test_a_time_and_column_under_other_tags_is_there_twice():
    twice = series("model-output", "PT-1", [10, 1.0]), series("model-output", "PT-1", [10, 1.0], revision="1")

    stored = list(points(answer(*twice)))

    assert stored == 2 * [Stored("pump-00", 10, ("model-output", "PT-1"), 1.0)]


def test_an_empty_database_is_an_answer_without_points():
    assert list(points({"results": [{"statement_id": 0}]})) == []


def test_a_server_that_could_not_answer_is_no_empty_database():
    with pytest.raises(ValueError, match="database not found: predictions"):
        list(points({"results": [{"statement_id": 0, "error": "database not found: predictions"}]}))


@pytest.mark.parametrize(("arguments", "sink"), [([], "postgres"), *((["--sink", sink], sink) for sink in SINKS)])
def test_predictions_go_to_postgresql_unless_another_sink_is_named(arguments: list[str], sink: str):
    assert _arguments(arguments).sink == sink


def test_influxdb_is_a_system_of_the_world_only_where_it_is_the_sink():
    assert "influx" in Size(sink="influx").systems
    assert "influx" not in Size().systems
    assert set(Size(queue="postgres", sink="influx").systems) == {"postgres", "gordo", "influx"}


def test_a_section_of_the_results_names_influxdb_as_the_sink():
    assert title(Size(queue="postgres")) == "Chaos campaign, 12 models, postgres as the queue"
    assert title(Size(queue="postgres", sink="influx")).endswith("postgres as the queue, InfluxDB as the sink")
