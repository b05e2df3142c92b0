"""The controls of the emulator for tests: faults, limits, and a record of the requests."""

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from latigo.runtime.clock import Clock

_MOST_RECORDED = 100_000


class FaultKind(StrEnum):
    """What happens instead of an answer, or to it."""

    DELAY = "delay"  #: it comes late
    STATUS = "status"  #: an error of the API, with its body
    GATEWAY = "gateway"  #: an error of the gateway, without a trace id
    EMPTY = "empty"  #: an error without a body, such as 502 after a time-out of the backend
    HANG_UP = "hang_up"  #: the connection is closed, without an answer
    TRUNCATE = "truncate"  #: the answer ends in the middle


@dataclass(slots=True)
class Fault:
    """A fault for the next ``times`` requests whose method and path match."""

    kind: FaultKind
    path: str = "*"
    method: str = "*"
    status: int = 500
    seconds: float = 0.0
    retry_after: int | None = None
    times: int = 1
    skip: int = 0  #: requests that match before the first one that it meets
    met: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Return whether it strikes this request, and count it."""
        if self.met >= self.times or not fnmatch.fnmatch(method, self.method) or not fnmatch.fnmatch(path, self.path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.met += 1
        return True


class Recorded(NamedTuple):
    """One request."""

    method: str
    path: str  #: below the base URL
    query: Mapping[str, Collection[str]]
    headers: Mapping[str, str]
    body: Any  #: decoded JSON; None without a body
    status: int


@dataclass
class Controls:
    """Switches of the server. Belongs to one event loop."""

    clock: Clock
    #: Of several ids in one read, what happens to those that are unknown, or not for this client.
    unknown_ids: Literal["refuse", "omit"] = "omit"
    #: An answer without more has no ``continuationToken``, or has it as null.
    empty_keys: Literal["absent", "null"] = "absent"
    strict_status: bool = True  #: a status that is no integer is refused
    page_size: int = 1000  #: of lists of series
    most_points: int = 100_000  #: in one answer, over all series; the rest comes with a token
    most_bytes: int = 64 << 20  #: of a request
    accepted_tokens: set[str] | None = None  #: None: any
    required_headers: dict[str, str] = field(default_factory=dict)
    required_metadata_headers: dict[str, str] = field(default_factory=dict)  #: of the Metadata API, besides those
    forbidden_ids: set[str] = field(default_factory=set)
    rate: float = 0.0  #: requests a second; 0 for no limit
    burst: int = 10
    faults: list[Fault] = field(default_factory=list)
    requests: list[Recorded] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    _tokens: float = 0.0
    _filled_at: float = 0.0

    def fault(self, kind: FaultKind, path: str = "*", **options: Any) -> Fault:
        """Add a fault; of several that match the oldest strikes."""
        fault = Fault(kind, path, **options)
        self.faults.append(fault)
        return fault

    def meet(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes this request, if any."""
        return next((fault for fault in self.faults if fault.meets(method, path)), None)

    def seconds_to_wait(self) -> int:
        """Take a token of the bucket; return 0, or the seconds until there is one again."""
        if not self.rate:
            return 0
        now = self.clock.monotonic()
        if not self._filled_at:
            self._tokens, self._filled_at = float(self.burst), now
        self._tokens = min(float(self.burst), self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, round((1 - self._tokens) / self.rate))

    def record(self, request: Recorded) -> None:
        """Keep a request for tests to read."""
        if len(self.requests) < _MOST_RECORDED:
            self.requests.append(request)

    def count(self, path: str, method: str = "*") -> int:
        """Return how many requests there were, by patterns of path and method."""
        return sum(fnmatch.fnmatch(each.path, path) and fnmatch.fnmatch(each.method, method) for each in self.requests)
