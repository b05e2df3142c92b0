"""What the Timeseries API keeps: series by id and by name and facility, and their points."""

import fnmatch
import re
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from latigo.domain.windows import EPOCH, span_ns, to_ns
from latigo.runtime.clock import Clock

GOOD = 192
MOST_METADATA_KEYS = 17
_TEXTS = ("name", "description", "unit", "assetId", "facility", "externalId")
_CHANGEABLE = frozenset({*_TEXTS, "step", "metadata"})
_FRACTION = re.compile(r"\.\d+")
_SOURCE_REACHES_BACK = span_ns(timedelta(days=400))


class ApiError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Reading(NamedTuple):
    """One point."""

    time: int  #: ns since the epoch
    value: float
    status: int


#: Points of a series that are not stored: of a name, from a time until before another one (ns), in order of time.
Source = Callable[[str, int, int], Sequence[Reading]]


def write_time(time: int) -> str:
    """Return a time as the server writes it: with seven digits and a Z."""
    seconds, fraction = divmod(time, 10**9)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction // 100:07d}Z"


def read_time(text: object) -> int:
    """Read a time of a request.

    Raises:
        ApiError: it is not one.
    """
    try:
        parsed = datetime.fromisoformat(_FRACTION.sub("", str(text)))
        fraction = _FRACTION.search(str(text))
        digits = int(fraction[0][1:10].ljust(9, "0")) if fraction else 0
        return to_ns(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) + digits
    except ValueError:
        raise ApiError(400, f"The value '{text}' is not a valid time.") from None


@dataclass(slots=True)
class StoredSeries:
    """One series: its description, and its points in order of time."""

    id: str
    document: dict[str, Any]
    times: list[int] = field(default_factory=list)
    points: dict[int, Reading] = field(default_factory=dict)
    hidden_for: int = 0  #: list and search answers that do not show it yet
    source: Source | None = None

    @property
    def name(self) -> str:
        return str(self.document["name"])

    def between(self, start: int, end: int) -> Sequence[Reading]:
        """Return the points with ``start <= time < end``."""
        if self.source is not None:
            return self.source(self.name, start, end)
        return [self.points[time] for time in self.times[bisect_left(self.times, start) : bisect_left(self.times, end)]]

    def write(self, readings: Iterable[Reading]) -> None:
        """Add points; of equal times the last one holds."""
        known = len(self.points)
        ordered = True
        for point in readings:
            if point.time not in self.points:
                ordered = ordered and (not self.times or point.time > self.times[-1])
                self.times.append(point.time)
            self.points[point.time] = point
        if not ordered and len(self.points) > known:
            self.times.sort()

    def delete(self, start: int, end: int) -> None:
        """Delete the points with ``start <= time < end``."""
        low, high = bisect_left(self.times, start), bisect_left(self.times, end)
        for time in self.times[low:high]:
            del self.points[time]
        del self.times[low:high]


class TimeseriesStore:
    """All series of the service.

    Args:
        facilities: the codes that exist, each with its equivalents; case does not count.
        clock: for the times of creation and change.
        origin: what ``source`` says of series that clients create.
    """

    def __init__(self, facilities: Mapping[str, Sequence[str]], clock: Clock, *, origin: str = "IOC") -> None:
        self._clock = clock
        self._codes = {code.lower(): name.lower() for name, others in facilities.items() for code in (name, *others)}
        self._origin = origin
        self._series: dict[str, StoredSeries] = {}
        self._ids: dict[tuple[str, str], str] = {}  #: by name and facility
        self.search_lag = 0  #: list and search answers after a creation that do not show the new series

    def __len__(self) -> int:
        return len(self._series)

    def __iter__(self) -> Iterator[StoredSeries]:
        return iter(self._series.values())

    def series(self, identifier: object) -> StoredSeries:
        """Return a series.

        Raises:
            ApiError: there is none with this id.
        """
        found = self._series.get(str(identifier).lower())
        if found is None:
            raise ApiError(404, f"Timeseries with id '{identifier}' not found.")
        return found

    def named(self, name: str, facility: str) -> StoredSeries | None:
        """Return the series of a name at a facility, if there is one."""
        code = self._codes.get(facility.lower(), "")
        return self._series.get(self._ids.get((name, code), ""))

    def create(self, document: object, *, origin: str = "", source: Source | None = None) -> StoredSeries:
        """Create a series.

        Raises:
            ApiError: the description is incomplete, or there is such a series already.
        """
        described = self._checked(document)
        if self.named(described["name"], described["facility"]) is not None:
            name, facility = described["name"], described["facility"]
            raise ApiError(409, f"Attempt to store timeseries '{name}' from '{facility}' which already exists")
        now = write_time(self.now())
        defaults = {"description": None, "step": False, "unit": None, "assetId": None, "externalId": None}
        identifier = str(uuid.uuid4())
        created = {"id": identifier, **defaults, **described, "standardUnit": described.get("unit")}
        created |= {"source": origin or self._origin, "changedTime": now, "createdTime": now}
        stored = StoredSeries(identifier, created, hidden_for=self.search_lag, source=self._bounded(source))
        self._series[identifier] = stored
        self._ids[stored.name, self._code(stored.document["facility"])] = identifier
        return stored

    def now(self) -> int:
        """Return the time of the service, ns."""
        return to_ns(self._clock.now())

    def get_or_add(self, documents: Sequence[object]) -> list[StoredSeries]:
        """Return a series for each of these descriptions, created where there is none."""
        described = [self._checked(document) for document in documents]
        return [self.named(one["name"], one["facility"]) or self.create(one) for one in described]

    def change(self, identifier: str, changes: object) -> StoredSeries:
        """Change the given keys of a description, and no others."""
        stored = self.series(identifier)
        if not isinstance(changes, Mapping):
            raise ApiError(400, "The body must be an object.")
        changed = self._checked({**stored.document, **{key: changes[key] for key in _CHANGEABLE & changes.keys()}})
        del self._ids[stored.name, self._code(stored.document["facility"])]
        stored.document |= changed | {"changedTime": write_time(self.now())}
        self._ids[stored.name, self._code(stored.document["facility"])] = stored.id
        return stored

    def remove(self, identifier: str) -> None:
        """Delete a series with its points."""
        stored = self.series(identifier)
        del self._series[stored.id]
        del self._ids[stored.name, self._code(stored.document["facility"])]

    def find(self, filters: Mapping[str, str], *, wildcards: bool) -> list[StoredSeries]:
        """Return the series that match all filters, oldest first; each answer brings hidden ones nearer to sight."""
        found = []
        for stored in self._series.values():
            if stored.hidden_for:
                stored.hidden_for -= 1
            elif all(self._matches(stored, key, wanted, wildcards=wildcards) for key, wanted in filters.items()):
                found.append(stored)
        return found

    def counts(self, key: str, filters: Mapping[str, str]) -> dict[str, int]:
        """Count the series by facility or source."""
        counts: dict[str, int] = {}
        for stored in self.find(filters, wildcards=False):
            counts[stored.document[key]] = counts.get(stored.document[key], 0) + 1
        return counts

    def _bounded(self, source: Source | None) -> Source | None:
        """Return a source that has no points of the future, nor of long ago."""
        if source is None:
            return None
        return lambda name, start, end: source(
            name, max(start, self.now() - _SOURCE_REACHES_BACK), min(end, self.now())
        )

    def _matches(self, stored: StoredSeries, key: str, wanted: str, *, wildcards: bool) -> bool:
        value = stored.document.get(key)
        if key == "facility":
            return self._codes.get(wanted.lower()) == self._codes[str(value).lower()]
        if wildcards and key in {"name", "description", "unit"}:
            pattern = fnmatch.translate(wanted.replace("[", "[[]").replace("?", "[?]"))
            return re.match(pattern, str(value or ""), re.IGNORECASE) is not None
        return value == wanted

    def _code(self, facility: str) -> str:
        return self._codes[facility.lower()]

    def _checked(self, document: object) -> dict[str, Any]:
        if not isinstance(document, Mapping):
            raise ApiError(400, "The body must be an object.")
        for key in ("name", "facility"):
            if not isinstance(document.get(key), str) or not document[key]:
                raise ApiError(400, f"The {key} field is required.")
        for key in _TEXTS:
            if document.get(key) is not None and not isinstance(document[key], str):
                raise ApiError(400, f"The {key} field must be a string.")
        if document["facility"].lower() not in self._codes:
            raise ApiError(400, "Facility not found.")
        if len(document.get("metadata") or {}) > MOST_METADATA_KEYS:
            raise ApiError(400, f"At most {MOST_METADATA_KEYS} metadata keys are allowed.")
        return {key: document[key] for key in _CHANGEABLE if key in document}


def interval_ns(text: str) -> int:
    """Read an interval such as ``10m``.

    Raises:
        ApiError: it is not one.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})([smhd])", text)
    if not match:
        raise ApiError(400, f"The processing interval '{text}' is not valid.")
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    return span_ns(timedelta(**{units[match[2]]: int(match[1])}))
