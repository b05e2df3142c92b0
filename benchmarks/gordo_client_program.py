"""Gordo's own client in a process of its own, on readings in memory; runs under Python 3.10 in Gordo's environment.

Started with a configuration as JSON; then it reads requests, line by line, ``{"windows": [[model, start, end],
...]}``. It responds with the CPU and wall seconds of all of them, one after the other.
"""

import json
import os
import sys
import time

configuration = json.loads(sys.argv[1])
os.sched_setaffinity(0, {configuration["pinned"]})  # before anything starts threads

import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import numpy as np
import pandas as pd
import requests
from gordo_client.client import Client
from gordo_core.data_providers.base import GordoBaseDataProvider
from gordo_core.sensor_tag import extract_tag_name
from gordo_core.utils import capture_args
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


class MemoryProvider(GordoBaseDataProvider):
    """Slices of series in memory."""

    @capture_args
    def __init__(self, path: str):
        with np.load(path) as arrays:
            index = pd.DatetimeIndex(arrays["times"], tz="UTC")
            series = [pd.Series(values, index=index) for values in arrays["values"]]
            self.series = {tag: series[i % len(series)] for i, tag in enumerate(arrays["tags"].tolist())}

    def can_handle_tag(self, tag):
        return extract_tag_name(tag) in self.series

    def load_series(self, train_start_date, train_end_date, tag_list, dry_run=False, **_):
        for tag in tag_list:
            name = extract_tag_name(tag)
            series = self.series[name]
            low, high = series.index.searchsorted([train_start_date, train_end_date])
            yield series.iloc[low:high].rename(name), tag

    def get_closest_datapoint(self, tag, before_time, point_max_look_back):
        raise NotImplementedError


class KnownMachines(Client):
    """A cache of the metadata of all machines; Gordo's own holds 32."""

    def __init__(self, **options):
        super().__init__(**options)
        self.machines = {}

    def machine_from_server(self, name, revision):
        if name not in self.machines:
            self.machines[name] = super().machine_from_server(name=name, revision=revision)
        return self.machines[name]


session = requests.Session()
session.mount("http://", HTTPAdapter(max_retries=Retry(1, allowed_methods=None)))  # None: all of them, also POST
client = KnownMachines(
    project=configuration["project"],
    host="127.0.0.1",
    port=configuration["port"],
    scheme="http",
    data_provider=MemoryProvider(configuration["readings"]),
    use_parquet=True,
    n_retries=0,
    session=session,
)
for line in sys.stdin:
    windows = [(name, pd.Timestamp(start), pd.Timestamp(end)) for name, start, end in json.loads(line)["windows"]]
    cpu, wall = time.process_time(), time.perf_counter()
    for name, start, end in windows:
        [(_, frame, errors)] = client.predict(start, end, targets=[name], revision=configuration["revision"])
        if errors or not len(frame):
            raise SystemExit(f"{name}: {errors}")
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}), flush=True)
