"""Hubs: partitions of events in order, positions in them, and their receivers. No I/O.

Offsets are the number of bytes before an event, as in the service, so that they are not mistaken for sequence numbers.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import cycle
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar
from zlib import crc32

from latigo.sandbox.eventhub.messages import Message, Section, read_message, section, split
from latigo.sandbox.eventhub.values import Symbol, Timestamp

PARTITION_KEY = Symbol("x-opt-partition-key")

#: When nothing was enqueued yet: the year 1, in milliseconds.
NEVER = Timestamp(int(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1000)

#: The service's name of the position before the first event.
BEFORE_ALL = "-1"
#: Events of a partition; the service drops them by age. A hundred megabytes for eight partitions, and more than Latigo
#: has out by itself.
KEEP = 5000
_AFTER_ALL = "@latest"
_MOST_WITHOUT_EPOCH = 5
_SELECTOR = re.compile(r"\s*amqp\.annotation\.(x-opt-[a-z-]+)\s*(>=?)\s*'([^']*)'\s*")

R = TypeVar("R")


class Refused(Exception):
    """A refusal: the condition and message for the client."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = Symbol(condition)


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    sequence_number: int
    offset: str
    enqueued: Timestamp
    partition_key: str | None
    header: bytes  #: the header's section, or nothing
    message: bytes  #: all other sections, with our annotations

    @property
    def body(self) -> bytes:
        """The data sections."""
        return b"".join(part.value() for part in split(self.message) if part.section is Section.DATA)

    @property
    def properties(self) -> Mapping[str, Any]:
        """The application properties."""
        values = (part.value() for part in split(self.message) if part.section is Section.APPLICATION_PROPERTIES)
        return next(values, MappingProxyType({}))


class PositionField(StrEnum):
    """The annotations that a position can refer to."""

    OFFSET = "x-opt-offset"
    SEQUENCE_NUMBER = "x-opt-sequence-number"
    ENQUEUED_TIME = "x-opt-enqueued-time"


class Position(NamedTuple):
    """Position at which reading begins: after a value, or at it."""

    field: PositionField
    value: str
    inclusive: bool = False

    @classmethod
    def parse(cls, selector: str) -> "Position":
        """Parse the text of a filter, such as ``amqp.annotation.x-opt-offset > '17'``.

        Raises:
            Refused: it is not such a filter.
        """
        match = _SELECTOR.fullmatch(selector)
        if match is None or match[1] not in set(PositionField):
            raise Refused("amqp:invalid-field", f"not a filter that is supported: {selector!r}")
        if match[3] not in {BEFORE_ALL, _AFTER_ALL} and not match[3].isdecimal():
            raise Refused("com.microsoft:argument-error", f"The supplied offset '{match[3]}' is invalid.")
        return cls(PositionField(match[1]), match[3], match[2] == ">=")


START = Position(PositionField.OFFSET, BEFORE_ALL)


class Place(NamedTuple):
    """Position of an event in its partition: how many events are before it, and how many bytes."""

    sequence_number: int
    offset: int


class Partition:
    """The newest events, in order of arrival; older ones are dropped."""

    def __init__(self, number: int, keep: int = KEEP) -> None:
        self.id = str(number)
        self.events: list[Event] = []
        self.readers: dict[Callable[[], None], None] = {}  #: called, in order, when there is more to read
        self._keep = keep
        self._next = Place(0, 0)

    @property
    def begin(self) -> Place:
        """The place of the oldest event that is kept; of the next one if there is none."""
        if not self.events:
            return self._next
        return Place(self.events[0].sequence_number, int(self.events[0].offset))

    @property
    def last_sequence_number(self) -> int:
        """The sequence number of the newest event; -1 if there is none."""
        return self._next.sequence_number - 1

    @property
    def last_offset(self) -> str:
        """The offset of the newest event; "-1" if there is none."""
        return self.events[-1].offset if self.events else BEFORE_ALL

    @property
    def last_enqueued(self) -> Timestamp:
        """When the newest event was enqueued; the year 1 if there is none."""
        return self.events[-1].enqueued if self.events else NEVER

    def append(self, message: Message, partition_key: str | None, now: Timestamp) -> Event:
        """Keep a message as the newest event."""
        number, offset = self._next.sequence_number, str(self._next.offset)
        annotations = {
            **message.annotations,
            Symbol("x-opt-sequence-number"): number,
            Symbol("x-opt-offset"): offset,
            Symbol("x-opt-enqueued-time"): now,
        }
        if partition_key is not None:
            annotations[PARTITION_KEY] = partition_key
        annotated = section(Section.MESSAGE_ANNOTATIONS, annotations) + message.body
        event = Event(number, offset, now, partition_key, message.header, annotated)
        self.events.append(event)
        del self.events[: -self._keep]
        self._next = Place(number + 1, self._next.offset + message.size)
        return event

    def begin_at(self, place: Place) -> None:
        """Continue at a place, as if all events before it were dropped."""
        self._next = place

    def event(self, number: int) -> Event | None:
        """Return the event with this sequence number, or the oldest if it was dropped; None: it is yet to come."""
        at = max(number - self.begin.sequence_number, 0)
        return self.events[at] if at < len(self.events) else None

    def index(self, position: Position, *, strict: bool = True) -> int:
        """Return the index in ``events`` at which a reader begins.

        Raises:
            Refused: beyond the newest event, unless not strict.
        """
        if position.value == BEFORE_ALL:
            return 0
        if position.value == _AFTER_ALL:
            return len(self.events)
        value = int(position.value)
        key = _KEYS[position.field]
        beyond = not self.events or value > key(self.events[-1])
        if beyond and strict and position.field is not PositionField.ENQUEUED_TIME:
            raise Refused(
                "com.microsoft:argument-error",
                f"The supplied offset '{value}' is invalid. The last offset in the system is '{self.last_offset}'",
            )
        return (bisect_left if position.inclusive else bisect_right)(self.events, value, key=key)


_KEYS: Mapping[PositionField, Callable[[Event], int]] = MappingProxyType(
    {
        PositionField.OFFSET: lambda event: int(event.offset),
        PositionField.SEQUENCE_NUMBER: lambda event: event.sequence_number,
        PositionField.ENQUEUED_TIME: lambda event: event.enqueued,
    }
)


class Receivers(Generic[R]):
    """The receivers of one partition in one consumer group."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._present: list[R] = []

    def admit(self, receiver: R, epoch: int | None) -> list[R]:
        """Add a receiver. Return those that it replaces.

        One with an epoch is the only reader. It replaces any other with the same or a lower epoch, or with none.

        Raises:
            Refused: a higher epoch is here, or any where this one has none, or five others without.
        """
        current = self._epoch if self._present else None
        if current is not None and (epoch is None or epoch < current):
            raise Refused("amqp:link:stolen", f"A receiver with the higher epoch '{current}' reads here")
        if epoch is None and len(self._present) >= _MOST_WITHOUT_EPOCH:
            raise Refused("amqp:resource-limit-exceeded", f"There are {_MOST_WITHOUT_EPOCH} receivers already")
        replaced = [] if epoch is None else self._present
        self._present = [*([] if replaced else self._present), receiver]
        self._epoch = epoch
        return replaced

    def leave(self, receiver: R) -> None:
        """Remove a receiver."""
        self._present = [other for other in self._present if other is not receiver]


Record = Callable[["Hub", str, str | None, Timestamp, Sequence[bytes]], None]
"""Record messages: hub, partition, partition key, time, messages."""


class Hub:
    """Partitions under one name, numbered from 0, which keep so many events each."""

    def __init__(
        self, name: str, partitions: int, created: Timestamp, record: Record | None = None, *, keep: int = KEEP
    ) -> None:
        if partitions < 1 or keep < 1:
            raise ValueError(f"a hub has one partition or more, not {partitions}, and one event in each, not {keep}")
        self.name = name
        self.created = created
        self.partitions = tuple(Partition(number, keep) for number in range(partitions))
        self.capacity = partitions * keep  #: events that are kept at most
        self.users: dict[Callable[[Refused], None], None] = {}  #: called, in order, with the reason, when it is deleted
        self._record = record
        self._receivers: defaultdict[tuple[str, str], Receivers[Any]] = defaultdict(Receivers)
        self._turns = cycle(self.partitions)

    def __getitem__(self, partition: str) -> Partition:
        for candidate in self.partitions:
            if candidate.id == partition:
                return candidate
        raise Refused("amqp:not-found", f"The hub '{self.name}' has no partition '{partition}'")

    @property
    def events(self) -> list[Event]:
        """All events, by partition."""
        return [event for partition in self.partitions for event in partition.events]

    def receivers(self, group: str, partition: str) -> Receivers[Any]:
        """Return the receivers of a partition in a consumer group."""
        return self._receivers[group.lower(), partition]

    def route(self, partition_key: str | None) -> Partition:
        """Return the partition of a key, always the same; without a key, the next in turn."""
        if partition_key is None:
            return next(self._turns)
        return self.partitions[crc32(partition_key.encode()) % len(self.partitions)]

    def publish(
        self, messages: Sequence[bytes], now: Timestamp, *, partition: str | None = None, key: str | None = None
    ) -> Partition:
        """Keep messages together in one partition, then notify its readers.

        Raises:
            Refused: there is no such partition.
            CodecError: one of them is no message; none is kept.
        """
        read = [read_message(message) for message in messages]
        chosen = self.route(key) if partition is None else self[partition]
        if self._record is not None:
            self._record(self, chosen.id, key, now, messages)
        for message in read:
            chosen.append(message, key, now)
        for notify in list(chosen.readers):
            notify()
        return chosen

    def restore(self, kept: Iterable[tuple[str, str | None, Timestamp, bytes]]) -> None:
        """Restore events that were recorded earlier."""
        for partition, key, enqueued, message in kept:
            self[partition].append(read_message(message), key, enqueued)
