"""Gordo's own ways to and from InfluxDB, in a process of its own: gordo-core's provider, gordo-client's forwarder.

Runs under Python 3.10 in Gordo's environment. ``benchmarks/influx_program.py`` documents its argument and its input.
gordo-core reads the end of a window as well; no reading of the benchmark is at one.
"""

import gc
import json
import logging
import sys
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import numpy as np
import pandas as pd
from gordo_client.forwarders import ForwardPredictionsIntoInflux
from gordo_client.schemas import Machine
from gordo_core.data_providers.providers import InfluxDataProvider


def machine(name):
    """A machine with the fields that the forwarder reads."""
    return Machine.construct(name=name, dataset={"tag_list": tags})


def frame(times, values):
    index = pd.DatetimeIndex(np.array(times, "int64") * 1_000_000_000, tz="UTC")
    return pd.DataFrame(values, index=index, columns=columns)


options = json.loads(sys.argv[1])
server = options["url"].replace("http://", "any:any@")
provider = InfluxDataProvider(measurement="sensors", uri=f"{server}/{options['sensors']}")
forward = ForwardPredictionsIntoInflux(destination_influx_uri=f"{server}/{options['predictions']}")
columns = pd.MultiIndex.from_tuples([tuple(column) for column in options["columns"]])
tags = list(dict.fromkeys(tag for _, tag in options["columns"] if tag))
numbers = np.random.default_rng(7)
gc.collect()
gc.freeze()
for line in sys.stdin:
    order, points = json.loads(line), 0
    windows = [
        (wanted, pd.Timestamp(start, unit="s", tz="UTC"), pd.Timestamp(end, unit="s", tz="UTC"))
        for wanted, start, end in order.get("read", ())
    ]
    frames = [
        (machine(model), frame(times, numbers.normal(50.0, 10.0, (len(times), len(columns)))))
        for model, times in order.get("write", ())
    ]
    cpu, wall = time.process_time(), time.perf_counter()
    for wanted, start, end in windows:
        points += sum(len(series) for series, _ in provider.load_series(start, end, wanted))
    for target, predictions in frames:
        forward(predictions=predictions, machine=target, metadata={"project": "plant-a"})
        points += int(predictions.size)
    print(
        json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "points": points}),
        flush=True,
    )
