"""The events of a hub in a file, so that an emulator that was killed has them again when it is started anew.

Records are AMQP lists, one after the other: first ``[created, partitions]``, then ``[partition, key, enqueued,
message]`` for each event. A record that was cut off by the end of the process was never acknowledged and is dropped.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from latigo.standins.eventhub.codec import CodecError, Timestamp, UInt, decode, encode
from latigo.standins.eventhub.hub import Hub


def open_hub(name: str, partitions: int, now: Timestamp, folder: Path) -> tuple[Hub, "Journal"]:
    """A hub with the events of its file; a new file where there is none.

    Raises:
        ValueError: the file is of a hub with another number of partitions.
    """
    path = folder / f"{name}.events"
    records, end = _read(path.read_bytes() if path.exists() else b"")
    created, found = records[0] if records else (now, partitions)
    if found != partitions:
        raise ValueError(f"{path} has the events of {found} partitions, not of {partitions}")
    journal = Journal(path, end, encode([created, UInt(partitions)]))
    hub = Hub(name, partitions, created, journal.record)
    hub.restore((partition, key, enqueued, message) for partition, key, enqueued, message in records[1:])
    return hub, journal


class Journal:
    """A file that only grows.

    Args:
        path: of the file; its folder is made.
        end: where the last whole record ends.
        first: the first record, for a new file.
    """

    def __init__(self, path: Path, end: int, first: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab")
        self._file.truncate(end)
        if not end:
            self._write(first)

    def record(self, partition: str, key: str | None, enqueued: Timestamp, messages: Sequence[bytes]) -> None:
        """Hand messages to the kernel: they outlive the process, not the machine."""
        self._write(b"".join(encode([partition, key, enqueued, message]) for message in messages))

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def remove(self) -> None:
        """Lose everything."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _write(self, raw: bytes) -> None:
        self._file.write(raw)
        self._file.flush()


def _read(content: bytes) -> tuple[list[list[Any]], int]:
    """The whole records, and where the last of them ends."""
    records, at = [], 0
    with suppress(CodecError):
        while at < len(content):
            record, at = decode(content, at)
            records.append(record)
    return records, at
