"""Latigo's adapter of the Timeseries API in a process of its own.

Started with a configuration as JSON: ``url``, ``facility``, ``project``, which is in the names of its series, and
``columns`` of a model's predictions. Requests and responses are those of `benchmarks.influx_program`. The program of
the peer, ``peers/omnia_sdk_program.py``, takes the same.
"""

import json
import sys
from typing import Any

from pydantic import SecretStr

from benchmarks.influx_program import answer_orders
from latigo.domain.series import Column
from latigo.providers.timeseries import open_predictions, open_sensors
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.settings import TimeseriesSensors, TimeseriesSink


async def work(configuration: dict[str, Any]) -> None:
    server = {"url": configuration["url"], "facility": configuration["facility"], "token": SecretStr("any")}
    clock = SystemClock()
    async with (
        open_sensors(TimeseriesSensors.model_validate(server), clock) as sensors,
        open_predictions(TimeseriesSink.model_validate({**server, "project_in_name": True}), clock) as sink,
    ):
        columns = tuple(Column(*column) for column in configuration["columns"])
        await answer_orders(sensors, sink, columns, project=configuration["project"])


if __name__ == "__main__":
    run_async(lambda: work(json.loads(sys.argv[1])))
