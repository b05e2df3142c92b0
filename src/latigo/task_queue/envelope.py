"""Task <-> bytes: a versioned JSON envelope. Pure.

Version 1::

    {"v": 1, "id": 7, "epoch": 1, "project": ..., "model": ..., "revision": ..., "anomaly": true,
     "spec": {tags and dataset configuration}, "start": ..., "end": ..., "slot": 1800, "lane": "live",
     "trace": <W3C traceparent>, "probe": false}

A reader takes any version from `LOWEST` to `HIGHEST` and passes over unknown keys, so that a newer one may add some.
"""

from datetime import datetime
from typing import Any

import orjson

from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window, iso

LOWEST = 1  #: the oldest version that is read
HIGHEST = 1  #: the newest version that is read and can be written
LARGEST = 256 * 1024  #: bytes; a model with a thousand tags stays well below

# What the ledger can take: a larger number would not be refused as a message but break the claim.
_LONG = 2**63 - 1
_INTEGER = 2**31 - 1
_DAY = 86_400


class Unreadable(LatigoError):
    """The bytes are not a task, and why.

    Args:
        message: what is wrong with them.
        task_id: which task they are about, where they say at least that.
    """

    def __init__(self, message: str, *, task_id: int | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id


class TooNew(Unreadable):
    """A valid envelope of a version that this process does not know yet."""


def encode(task: Task, version: int = HIGHEST) -> bytes:
    """Write a task.

    Raises:
        ValueError: the version is not one that can be written.
    """
    if not LOWEST <= version <= HIGHEST:
        raise ValueError(f"no envelope version {version}")
    return orjson.dumps(
        {
            "v": version,
            "id": task.id,
            "epoch": task.epoch,
            "project": task.ref.project,
            "model": task.ref.name,
            "revision": task.model.revision,
            "anomaly": task.model.anomaly,
            "spec": task.model.to_json(),
            "start": iso(task.window.start),
            "end": iso(task.window.end),
            "slot": task.slot_seconds,
            "lane": task.lane.value,
            "trace": task.trace,
            "probe": task.probe,
        }
    )


def decode(data: bytes) -> Task:
    """Read a task.

    Raises:
        TooNew: it is of a version above `HIGHEST`.
        Unreadable: it is anything else than a task.
    """
    if len(data) > LARGEST:
        raise Unreadable(f"{len(data)} bytes, more than {LARGEST}")
    found: Any = None
    try:
        found = orjson.loads(data)
        version = found["v"]
        if not isinstance(version, int) or isinstance(version, bool) or version < LOWEST:
            raise Unreadable(f"version {str(version)[:40]} is not read", task_id=_task_id(found))
        if version > HIGHEST:
            raise TooNew(f"version {version} is newer than {HIGHEST}", task_id=_task_id(found))
        return _task(found)
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:400], task_id=_task_id(found)) from error


def _task_id(found: Any) -> int | None:
    try:
        return _whole(found["id"], _LONG)
    except (KeyError, TypeError):
        return None


def _task(found: dict[str, Any]) -> Task:
    anomaly, probe = found["anomaly"], found["probe"]
    if not isinstance(anomaly, bool | None) or not isinstance(probe, bool):
        raise TypeError("anomaly and probe are true or false")
    return Task(
        id=_whole(found["id"], _LONG),
        epoch=_whole(found["epoch"], _INTEGER),
        model=ModelSpec.from_json(
            ModelRef(_text(found["project"]), _text(found["model"])), _text(found["revision"]), anomaly, found["spec"]
        ),
        window=Window(datetime.fromisoformat(found["start"]), datetime.fromisoformat(found["end"])),
        slot_seconds=_whole(found["slot"], _DAY),
        lane=Lane(found["lane"]),
        trace=_text(found["trace"]),
        probe=probe,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value


def _whole(value: Any, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        given = str(value) if isinstance(value, int) else type(value).__name__
        raise TypeError(f"a number from 1 to {largest} expected, not {given}")
    return value
