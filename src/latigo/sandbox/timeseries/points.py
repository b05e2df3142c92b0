"""Reading and writing points: what the bodies of requests say, and the answers to them."""

import base64
import binascii
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from latigo.sandbox.timeseries.controls import Controls
from latigo.sandbox.timeseries.store import (
    ApiError,
    Reading,
    StoredSeries,
    TimeseriesStore,
    interval_ns,
    read_time,
    write_time,
)

MOST_IDS = 100
MOST_POINTS = 100_000  #: of one series in one request
DEFAULT_POINTS = 1000
_AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "avg": statistics.fmean,
    "min": min,
    "max": max,
    "sum": math.fsum,
    "stddev": lambda values: statistics.stdev(values) if len(values) > 1 else 0.0,
    "median": statistics.median,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}
_SOURCES = frozenset({"IMS", "TSDB", "DataLake"})


class Points:
    """The points of a store, as the API reads and writes them."""

    def __init__(self, store: TimeseriesStore, controls: Controls) -> None:
        self._store = store
        self._controls = controls

    def read_many(self, body: object, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``POST /query/data``."""
        items = self._items(body)
        after = _opened(query.get("continuationToken"))
        _check_source(query)
        left, answer = self._controls.most_points, []
        for place, item in enumerate(items):
            if place < after[0]:
                continue
            stored = self._series_of(item)
            if stored is None:
                continue
            start = after[1] if place == after[0] and after[1] else None
            found, more = _read(stored, item, start, left, self._store.now())
            answer.append({"id": stored.id, "datapoints": found})
            left -= len(found)
            if more is not None:
                return {"data": {"items": answer}, "continuationToken": _sealed(place, more)}
        return self._whole({"data": {"items": answer}})

    def edge_of_many(self, body: object, *, newest: bool) -> dict[str, Any]:
        """Answer ``POST /query/data/latest`` and ``/first``."""
        answer = []
        for item in self._items(body):
            stored = self._series_of(item)
            if stored is not None:
                answer.append({"id": stored.id, "datapoints": _edge(stored, item, newest=newest)})
        return self._whole({"data": {"items": answer}})

    def read_one(self, stored: StoredSeries, query: Mapping[str, Any]) -> dict[str, Any]:
        """Answer ``GET /{id}/data``."""
        _check_source(query)
        after = _opened(query.get("continuationToken"))
        found, more = _read(stored, query, after[1] or None, self._controls.most_points, self._store.now())
        document = {"data": {"items": [{"id": stored.id, "datapoints": found}]}}
        return {**document, "continuationToken": _sealed(0, more)} if more is not None else self._whole(document)

    def edge_of_one(self, stored: StoredSeries, query: Mapping[str, Any], *, newest: bool) -> dict[str, Any]:
        """Answer ``GET /{id}/data/latest`` and ``/first``."""
        return self._whole({"data": {"items": [{"id": stored.id, "datapoints": _edge(stored, query, newest=newest)}]}})

    def written_to_many(self, body: object) -> list[tuple[StoredSeries, list[Reading]]]:
        """Read ``POST /data``.

        Raises:
            ApiError: something is wrong; then nothing is to be written.
        """
        items = body.get("items") if isinstance(body, Mapping) else None
        if not isinstance(items, list) or not items:
            raise ApiError(400, "The items field is required.")
        return [(self._store.series(_id(item)), self._readings(item)) for item in items]

    def written_to_one(self, body: object) -> list[Reading]:
        """Read ``POST /{id}/data``."""
        return self._readings(body)

    def _readings(self, item: object) -> list[Reading]:
        points = item.get("datapoints") if isinstance(item, Mapping) else None
        if not isinstance(points, list):
            raise ApiError(400, "The datapoints field is required.")
        return [self._reading(point) for point in points]

    def _reading(self, point: object) -> Reading:
        if not isinstance(point, Mapping):
            raise ApiError(400, "A datapoint must be an object.")
        value, status = point.get("value"), point.get("status", 192)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ApiError(400, "The value of a datapoint must be a finite number.")
        if isinstance(status, bool) or (not isinstance(status, int) and self._controls.strict_status):
            raise ApiError(400, "The status of a datapoint must be an integer.")
        try:
            return Reading(read_time(point.get("time")), float(value), int(status))
        except (TypeError, ValueError):
            raise ApiError(400, "The status of a datapoint must be an integer.") from None

    def _items(self, body: object) -> list[Any]:
        if not isinstance(body, list) or not body:
            raise ApiError(400, "The body must be a list.")
        if len(body) > MOST_IDS:
            raise ApiError(400, f"At most {MOST_IDS} timeseries can be queried at once.")
        return body

    def _series_of(self, item: object) -> StoredSeries | None:
        """Return the series of an item; None where unknown ones are left out of answers."""
        if isinstance(item, Mapping) and "id" not in item and "name" in item:
            named = self._store.named(str(item["name"]), str(item.get("facility", "")))
            identifier = named.id if named else item["name"]
        else:
            identifier = _id(item)
        if identifier in self._controls.forbidden_ids:
            if self._controls.unknown_ids == "refuse":
                raise ApiError(403, "No access to the timeseries.")
            return None
        try:
            return self._store.series(identifier)
        except ApiError:
            if self._controls.unknown_ids == "refuse":
                raise
            return None

    def _whole(self, document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "continuationToken": None} if self._controls.empty_keys == "null" else document


def _id(item: object) -> str:
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
        raise ApiError(400, "The id field is required.")
    return str(item["id"])


def _read(
    stored: StoredSeries, item: Mapping[str, Any], from_time: int | None, most: int, now: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the points of one item, and the time to go on from where there are more."""
    start = read_time(item["startTime"]) if item.get("startTime") else -(2**62)
    end = read_time(item["endTime"]) if item.get("endTime") else now
    limit = _whole_number(item.get("limit") or DEFAULT_POINTS)
    if not 1 <= limit <= MOST_POINTS:
        raise ApiError(400, f"The limit must be between 1 and {MOST_POINTS}.")
    statuses = _statuses(item)
    readings = [point for point in stored.between(start, end) if not statuses or point.status in statuses]
    functions = item.get("aggregateFunctions") or item.get("aggregateFunction")
    if functions:
        return _aggregated(readings, functions, item.get("processingInterval"), start), None
    if str(item.get("includeOutsidePoints", "false")).lower() == "true":
        readings = _with_outside(stored, readings, start, end)
    if from_time is not None:
        readings = [point for point in readings if point.time >= from_time]
    part = readings[: min(limit, most)]
    more = next((point.time for point in readings[len(part) :]), None)
    return [{"time": write_time(point.time), "value": point.value, "status": point.status} for point in part], more


def _with_outside(stored: StoredSeries, readings: Sequence[Reading], start: int, end: int) -> list[Reading]:
    before, after = stored.between(-(2**62), start), stored.between(end, 2**62)
    return [*before[-1:], *readings, *after[:1]]


def _aggregated(readings: Sequence[Reading], functions: object, interval: object, start: int) -> list[dict[str, Any]]:
    names = [functions] if isinstance(functions, str) else list(functions) if isinstance(functions, list) else []
    if unknown := [name for name in names if name not in _AGGREGATES]:
        raise ApiError(400, f"The aggregate function '{unknown[0]}' is not supported.")
    width = interval_ns(str(interval)) if interval else 0
    groups: dict[int, list[float]] = {}
    for point in readings:
        begin = start + (point.time - start) // width * width if width else start
        groups.setdefault(begin, []).append(point.value)
    return [
        {"time": write_time(begin), **{name: _AGGREGATES[name](values) for name in names}}
        for begin, values in groups.items()
    ]


def _edge(stored: StoredSeries, item: Mapping[str, Any], *, newest: bool) -> list[dict[str, Any]]:
    after, before = item.get("afterTime") or item.get("startTime"), item.get("beforeTime") or item.get("endTime")
    start = read_time(after) if after else -(2**62)
    end = read_time(before) if before else 2**62
    statuses = _statuses(item)
    readings = [point for point in stored.between(start, end) if not statuses or point.status in statuses]
    chosen = readings[-1:] if newest else readings[:1]
    return [{"time": write_time(point.time), "value": point.value, "status": point.status} for point in chosen]


def _statuses(item: Mapping[str, Any]) -> frozenset[int]:
    given = item.get("statusFilter") or item.get("status") or []
    try:
        return frozenset(int(status) for status in (given if isinstance(given, list | tuple) else [given]))
    except (TypeError, ValueError):
        raise ApiError(400, "The status filter must be a list of integers.") from None


def _whole_number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ApiError(400, f"The value '{value}' is not valid for limit.") from None


def _check_source(query: Mapping[str, Any]) -> None:
    if query.get("federationSource", "TSDB") not in _SOURCES:
        raise ApiError(400, f"The federation source '{query['federationSource']}' is not valid.")


def _sealed(place: int, time: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, time]).encode()).decode()


def _opened(token: object) -> tuple[int, int]:
    """Return the item and the time from which a page goes on."""
    if not token:
        return 0, 0
    try:
        place, time = json.loads(base64.urlsafe_b64decode(str(token)))
        return int(place), int(time)
    except (ValueError, binascii.Error):
        raise ApiError(400, "The continuation token is not valid.") from None
