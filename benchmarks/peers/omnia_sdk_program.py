"""The official SDK of the Timeseries API, unmodified, in a process of its own: the calls that Latigo makes.

Runs in the environment that ``tests/omnia_sdk/setup.sh`` makes. ``benchmarks/timeseries_api_program.py`` documents its
argument and its input. Names are looked up and series added once, as Latigo does.
"""

import gc
import json
import random
import sys
import time
from datetime import datetime, timezone

from azure.core.credentials import AccessToken
from omnia_timeseries import TimeseriesAPI, TimeseriesEnvironment

SERIES = 100  # in one request


class Anybody:
    """A credential that has a token for everything."""

    def get_token(self, *_, **__):
        return AccessToken("any", 2_000_000_000)


def text(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


options = json.loads(sys.argv[1])
api = TimeseriesAPI(Anybody(), TimeseriesEnvironment.Test())
api._base_url = options["url"]  # there is no other way to another server
facility, columns = options["facility"], options["columns"]
known = {}


def id_of(tag):
    if tag not in known:
        (item,) = api.get_timeseries(name=tag, facility=facility)["data"]["items"]
        known[tag] = item["id"]
    return known[tag]


def ids_of(model):
    names = [f"{tag or facility + '.INDICATOR'}|{options['project']}.{model}|{group}" for group, tag in columns]
    missing = [name for name in names if name not in known]
    for begin in range(0, len(missing), SERIES):
        wanted = [{"name": name, "facility": facility} for name in missing[begin : begin + SERIES]]
        for item in api.get_or_add_timeseries(wanted)["data"]["items"]:
            known[item["name"]] = item["id"]
    return [known[name] for name in names]


def read(tags, start, end):
    window = {"startTime": text(start), "endTime": text(end), "limit": 20_000, "includeOutsidePoints": False}
    answer = api.get_multi_datapoints([{"id": id_of(tag), **window} for tag in tags])
    tag_of = {id_of(tag): tag for tag in tags}
    readings = {tag_of[item["id"]]: good_points(item["datapoints"], start, end) for item in answer["data"]["items"]}
    return sum(len(times) for times, _ in readings.values())


def good_points(points, start, end):
    """Return times and values of the good points of a window, in order of time, as a program needs them."""
    good = [
        (at, point["value"])
        for point in points
        if point["status"] == 192 and start <= (at := datetime.fromisoformat(point["time"]).timestamp()) < end
    ]
    good.sort()
    return [at for at, _ in good], [value for _, value in good]


def write(model, times, values):
    texts = [text(seconds) for seconds in times]
    items = [
        {
            "id": identifier,
            "datapoints": [{"time": at, "value": value, "status": 192} for at, value in zip(texts, column)],
        }
        for identifier, column in zip(ids_of(model), values)
    ]
    for begin in range(0, len(items), SERIES):
        api.write_multiple({"items": items[begin : begin + SERIES]})
    return len(items) * len(times)


gc.collect()
gc.freeze()
for line in sys.stdin:
    order, points = json.loads(line), 0
    predictions = [
        (model, times, [[random.gauss(50, 10) for _ in times] for _ in columns])
        for model, times in order.get("write", ())
    ]
    cpu, wall = time.process_time(), time.perf_counter()
    for tags, start, end in order.get("read", ()):
        points += read(tags, start, end)
    for model, times, values in predictions:
        points += write(model, times, values)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu": cpu, "wall": wall, "points": points}), flush=True)
