"""The events of a hub in a file, which an emulator reads when it starts.

Records are AMQP lists, one after the other: first ``[created, partitions, [[sequence number, offset] of the first event
of each partition]]``, then ``[partition, key, enqueued, message]`` for each event. A record that was cut off by the end
of the process was never acknowledged and is dropped.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from latigo.sandbox.eventhub.codec import decode, encode
from latigo.sandbox.eventhub.hub import KEEP, Event, Hub, Partition, Place
from latigo.sandbox.eventhub.values import CodecError, Timestamp, UInt


def open_hub(name: str, partitions: int, now: Timestamp, folder: Path, *, keep: int = KEEP) -> tuple[Hub, "Journal"]:
    """Open a hub with the events of its file; create the file if there is none.

    Raises:
        ValueError: the file is of a hub with another number of partitions.
    """
    path = folder / f"{name}.events"
    records, end = _read(path.read_bytes() if path.exists() else b"")
    created, recorded, begins = records[0] if records else (now, partitions, [(0, 0)] * partitions)
    if recorded != partitions:
        raise ValueError(f"{path} has the events of {recorded} partitions, not of {partitions}")
    journal = Journal(path, end, len(records) - 1)
    hub = Hub(name, partitions, created, journal.record, keep=keep)
    for partition, begin in zip(hub.partitions, begins, strict=True):
        partition.begin_at(Place(*begin))
    hub.restore((partition, key, enqueued, message) for partition, key, enqueued, message in records[1:])
    if not records:
        journal.rewrite(hub)
    return hub, journal


class Journal:
    """A file that is rewritten once the hub has dropped half of its events, or more.

    Args:
        path: of the file; its folder is made.
        end: where the last whole record ends.
        events: how many there are in it.
    """

    def __init__(self, path: Path, end: int, events: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._events = events
        self._file = path.open("ab")
        self._file.truncate(end)

    def record(self, hub: Hub, partition: str, key: str | None, enqueued: Timestamp, messages: Sequence[bytes]) -> None:
        """Append messages; they survive a crash of the process, not of the machine."""
        if self._events >= 2 * hub.capacity:
            self.rewrite(hub)
        self._file.write(b"".join(encode([partition, key, enqueued, message]) for message in messages))
        self._file.flush()
        self._events += len(messages)

    def rewrite(self, hub: Hub) -> None:
        """Replace the file by one with the events of the hub, atomically."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("wb") as file:
            begins = [list(partition.begin) for partition in hub.partitions]
            file.write(encode([hub.created, UInt(len(begins)), begins]))
            for partition in hub.partitions:
                file.writelines(encode(_record_of(partition, event)) for event in partition.events)
        fresh.replace(self._path)
        self._file.close()
        self._file = self._path.open("ab")
        self._events = len(hub.events)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file."""
        self.close()
        self._path.unlink(missing_ok=True)


def _record_of(partition: Partition, event: Event) -> list[Any]:
    return [partition.id, event.partition_key, event.enqueued, event.header + event.message]


def _read(content: bytes) -> tuple[list[list[Any]], int]:
    """Return the complete records, and where the last of them ends."""
    records, at = [], 0
    with suppress(CodecError):
        while at < len(content):
            record, at = decode(content, at)
            records.append(record)
    return records, at
