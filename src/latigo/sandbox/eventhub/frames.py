"""AMQP 1.0 frames and performatives as bytes, and back. Pure.

The standard's part 2, *Transport*, with what is needed of *Messaging* and *Security*. Every performative is written
with all of its fields, nulls included: the client reads them by position, and does not expect fewer.
"""

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from latigo.sandbox.eventhub.codec import decode, encode_into
from latigo.sandbox.eventhub.values import Array, CodecError, Described, Symbol, UByte, UInt, ULong, UShort

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"

_AMQP, _SASL = 0, 1
_FRAME = struct.Struct(">IBBH")

Symbols = Array | Symbol | None
Fields = dict[Any, Any] | None


class Error(NamedTuple):
    """The reason for an end or a refusal."""

    condition: Symbol
    description: str | None = None
    info: Fields = None


class Source(NamedTuple):
    """The source of messages."""

    address: str | None = None
    durable: Any = None
    expiry_policy: Any = None
    timeout: Any = None
    dynamic: Any = None
    dynamic_node_properties: Any = None
    distribution_mode: Any = None
    filter: Fields = None
    default_outcome: Any = None
    outcomes: Any = None
    capabilities: Any = None


class Target(NamedTuple):
    """The target of messages."""

    address: str | None = None
    durable: Any = None
    expiry_policy: Any = None
    timeout: Any = None
    dynamic: Any = None
    dynamic_node_properties: Any = None
    capabilities: Any = None


class Accepted(NamedTuple):
    """The outcome of a message that was accepted."""


class Rejected(NamedTuple):
    """The outcome of a message that was rejected."""

    error: Error | None = None


class Open(NamedTuple):
    """The first frame of a connection."""

    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None  #: milliseconds
    outgoing_locales: Symbols = None
    incoming_locales: Symbols = None
    offered_capabilities: Symbols = None
    desired_capabilities: Symbols = None
    properties: Fields = None


class Begin(NamedTuple):
    """The first frame of a session."""

    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt | None = None
    offered_capabilities: Symbols = None
    desired_capabilities: Symbols = None
    properties: Fields = None


class Attach(NamedTuple):
    """The first frame of a link; ``role`` is True for the receiver."""

    name: str
    handle: UInt
    role: bool
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: Source | None = None
    target: Target | None = None
    unsettled: Fields = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: Symbols = None
    desired_capabilities: Symbols = None
    properties: Fields = None


class Flow(NamedTuple):
    """Credit for the other side, in the session and on a link."""

    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: Fields = None


class Transfer(NamedTuple):
    """A message or a part of it."""

    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class Disposition(NamedTuple):
    """The outcome of deliveries."""

    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: Any = None
    batchable: bool | None = None


class Detach(NamedTuple):
    """The last frame of a link."""

    handle: UInt
    closed: bool | None = None
    error: Error | None = None


class End(NamedTuple):
    """The last frame of a session."""

    error: Error | None = None


class Close(NamedTuple):
    """The last frame of a connection."""

    error: Error | None = None


class SaslMechanisms(NamedTuple):
    """The ways to log in."""

    mechanisms: Symbols


class SaslInit(NamedTuple):
    """The client's choice of them."""

    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslOutcome(NamedTuple):
    """The result of the login; 0 is success."""

    code: UByte
    additional_data: bytes | None = None


AmqpPerformative = Open | Begin | Attach | Flow | Transfer | Disposition | Detach | End | Close
SaslPerformative = SaslMechanisms | SaslInit | SaslOutcome
Performative = AmqpPerformative | SaslPerformative

_CODES: Mapping[type, int] = MappingProxyType(
    {
        Open: 0x10,
        Begin: 0x11,
        Attach: 0x12,
        Flow: 0x13,
        Transfer: 0x14,
        Disposition: 0x15,
        Detach: 0x16,
        End: 0x17,
        Close: 0x18,
        Error: 0x1D,
        Accepted: 0x24,
        Rejected: 0x25,
        Source: 0x28,
        Target: 0x29,
        SaslMechanisms: 0x40,
        SaslInit: 0x41,
        SaslOutcome: 0x44,
    }
)
_COMPOSITES: Mapping[int, type] = MappingProxyType({code: composite for composite, code in _CODES.items()})


def _allowed(hint: Any) -> tuple[type, ...]:
    if hint is Any:
        return (object,)
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(get_origin(kind) or kind for kind in kinds)


#: The types that each field of a composite may have: what is annotated above also holds for what is received.
_ALLOWED: Mapping[type, tuple[tuple[type, ...], ...]] = MappingProxyType(
    {composite: tuple(_allowed(hint) for hint in get_type_hints(composite).values()) for composite in _CODES}
)


class ProtocolHeader(NamedTuple):
    """The first bytes of a layer of a connection."""

    raw: bytes


class Frame(NamedTuple):
    """One frame; ``performative`` is None for an empty one, a sign of life."""

    channel: int
    performative: Performative | None
    payload: bytes = b""


def encode_frame(channel: int, performative: Performative, payload: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    kind = _SASL if isinstance(performative, SaslPerformative) else _AMQP
    out = bytearray(_FRAME.size)
    encode_into(out, _described(performative))
    out += payload
    _FRAME.pack_into(out, 0, len(out), 2, kind, channel)
    return bytes(out)


def _described(value: Any) -> Any:
    if type(value) not in _CODES:
        return value
    return Described(ULong(_CODES[type(value)]), [_described(field) for field in value])


class FrameReader:
    """Parser of a stream into protocol headers and frames.

    Args:
        max_frame_size: bytes; a longer frame is refused.
    """

    def __init__(self, max_frame_size: int) -> None:
        self._max_frame_size = max_frame_size
        self._arrived = bytearray()

    def feed(self, data: bytes) -> Iterator[ProtocolHeader | Frame]:
        """Return everything that is complete.

        Raises:
            CodecError: what arrived is neither; nothing after it can be understood.
        """
        self._arrived += data
        at = 0
        try:
            while len(self._arrived) - at >= _FRAME.size:
                end = at + self._size(at)
                if len(self._arrived) < end:
                    return
                raw = bytes(memoryview(self._arrived)[at:end])
                at = end
                yield ProtocolHeader(raw) if raw.startswith(b"AMQP") else _decode_frame(raw)
        finally:
            del self._arrived[:at]

    def _size(self, at: int) -> int:
        if self._arrived[at : at + 4] == b"AMQP":
            return len(AMQP_HEADER)
        size: int = _FRAME.unpack_from(self._arrived, at)[0]
        if not _FRAME.size <= size <= self._max_frame_size:
            raise CodecError(f"a frame of {size} bytes, not of 8 to {self._max_frame_size}")
        return size


def _decode_frame(raw: bytes) -> Frame:
    size, words, _, channel = _FRAME.unpack_from(raw)
    begin = 4 * words
    if not _FRAME.size <= begin <= size:
        raise CodecError(f"a frame of {size} bytes whose body begins at {begin}")
    if begin == size:
        return Frame(channel, None)
    value, end = decode(raw, begin)
    performative = _composite(value)
    if not isinstance(performative, Performative):
        raise CodecError(f"a frame with {type(performative).__name__} as its performative")
    return Frame(channel, performative, raw[end:])


def _composite(value: Any) -> Any:
    """Return the composite that a described list is; anything else unchanged."""
    if not isinstance(value, Described) or value.descriptor not in _COMPOSITES or not isinstance(value.value, list):
        return value
    composite = _COMPOSITES[value.descriptor]
    allowed, fields = _ALLOWED[composite], [_composite(field) for field in value.value]
    if len(fields) > len(allowed):
        raise CodecError(f"{composite.__name__} with {len(fields)} fields")
    fields += [None] * (len(allowed) - len(fields))
    for name, field, types in zip(composite._fields, fields, allowed, strict=True):  # type: ignore[attr-defined]  # all of them are named tuples
        if not isinstance(field, types):
            raise CodecError(f"{composite.__name__} with {type(field).__name__} as its {name}")
    return composite(*fields)
