"""Task <-> bytes: a versioned JSON envelope. Pure.

Version 1::

    {"v": 1, "id": 7, "epoch": 1, "project": ..., "model": ..., "revision": ..., "anomaly": true,
     "spec": {tags and dataset configuration}, "start": ..., "end": ..., "slot": 1800, "lane": "live",
     "trace": <W3C traceparent>, "probe": false}

Version 2 adds the ledger that planned the task::

     "ledger": <UUID>, "incarnation": 1

A task that copies predictions to a sink has ``"copy_to"`` as well, the name of the sink's circuit; a reader that does
not know that key predicts the window again, which writes it to that sink, too.

A reader accepts any version from `LOWEST` to `HIGHEST` and ignores unknown keys, so that a newer version may add some.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.task import Lane, LedgerIdentity, Task
from latigo.domain.windows import Window, iso
from latigo.runtime.documents import is_short
from latigo.runtime.redaction import excerpt

LOWEST = 1  #: the oldest version that is read
HIGHEST = 2  #: the newest version that is read and can be written
LARGEST = 256 * 1024  #: bytes; a model with a thousand tags stays well below

_WITH_LEDGER = 2  #: the first version that names the ledger
# Limits of the ledger's columns: a larger number would not be refused as a message but fail the claim.
_LONG = 2**63 - 1
_INTEGER = 2**31 - 1
_DAY = 86_400


class Unreadable(LatigoError):
    """The bytes are not a task.

    Args:
        message: what is wrong with them.
        task_id: the task that they name, where at least that can be read.
    """

    def __init__(self, message: str, *, task_id: int | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id


class TooNew(Unreadable):
    """A valid envelope of a version that this process does not know yet."""


def encode(task: Task, version: int = HIGHEST) -> bytes:
    """Return a task as bytes; one that names no ledger is written in version 1.

    Raises:
        ValueError: the version cannot be written.
    """
    if not LOWEST <= version <= HIGHEST:
        raise ValueError(f"no envelope version {version}")
    identity = None if version < _WITH_LEDGER else task.ledger
    return orjson.dumps(
        {
            "v": LOWEST if identity is None else version,
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
            **({"copy_to": task.copy_to} if task.copy_to else {}),
            **({} if identity is None else {"ledger": str(identity.id), "incarnation": identity.incarnation}),
        }
    )


def decode(data: bytes) -> Task:
    """Return the task in an envelope.

    Raises:
        TooNew: the version is above `HIGHEST`.
        Unreadable: the bytes are not a task.
    """
    if len(data) > LARGEST:
        raise Unreadable(f"{len(data)} bytes, more than {LARGEST}")
    if not is_short(data):
        raise Unreadable("more values than a task has")
    document: Any = None
    try:
        document = orjson.loads(data)
        version = document["v"]
        if not isinstance(version, int) or isinstance(version, bool) or version < LOWEST:
            raise Unreadable(f"version {excerpt(str(version), 40)} is not read", task_id=_task_id(document))
        if version > HIGHEST:
            raise TooNew(f"version {version} is newer than {HIGHEST}", task_id=_task_id(document))
        return _task(document)
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError, AttributeError) as error:
        raise Unreadable(excerpt(f"{type(error).__name__}: {error}", 400), task_id=_task_id(document)) from error


def _task_id(document: Any) -> int | None:
    try:
        return _whole(document["id"], _LONG)
    except (KeyError, TypeError):
        return None


def _task(document: dict[str, Any]) -> Task:
    anomaly, probe = document["anomaly"], document["probe"]
    if not isinstance(anomaly, bool | None) or not isinstance(probe, bool):
        raise TypeError("anomaly and probe are true or false")
    return Task(
        id=_whole(document["id"], _LONG),
        epoch=_whole(document["epoch"], _INTEGER),
        model=ModelSpec.from_json(
            ModelRef(_text(document["project"]), _text(document["model"])),
            _text(document["revision"]),
            anomaly,
            document["spec"],
        ),
        window=Window(datetime.fromisoformat(document["start"]), datetime.fromisoformat(document["end"])),
        slot_seconds=_whole(document["slot"], _DAY),
        lane=Lane(document["lane"]),
        trace=_text(document["trace"]),
        probe=probe,
        ledger=_ledger(document) if document["v"] >= _WITH_LEDGER else None,
        copy_to=_text(document.get("copy_to", "")),
    )


def _ledger(document: dict[str, Any]) -> LedgerIdentity:
    return LedgerIdentity(UUID(_text(document["ledger"])), _whole(document["incarnation"], _LONG))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value


def _whole(value: Any, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        given = str(value) if isinstance(value, int) else type(value).__name__
        raise TypeError(f"a number from 1 to {largest} expected, not {given}")
    return value
