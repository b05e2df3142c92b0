"""Messages of AMQP 1.0: sequences of sections, most of which are kept byte for byte. Pure."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from latigo.sandbox.eventhub.codec import decode, encode, skip
from latigo.sandbox.eventhub.values import CodecError, Described, ULong

#: The format of a message whose data sections are messages each.
BATCH_FORMAT = 0x80013700


class Section(IntEnum):
    """The descriptors of sections, in their order."""

    HEADER = 0x70
    DELIVERY_ANNOTATIONS = 0x71
    MESSAGE_ANNOTATIONS = 0x72
    PROPERTIES = 0x73
    APPLICATION_PROPERTIES = 0x74
    DATA = 0x75
    SEQUENCE = 0x76
    VALUE = 0x77
    FOOTER = 0x78


class Part(NamedTuple):
    """A section and its bytes, descriptor included."""

    section: Section
    raw: bytes

    def value(self) -> Any:
        """Decode the value of the section."""
        return decode(self.raw)[0].value


def split(message: bytes) -> Iterator[Part]:
    """Return the sections of a message.

    Raises:
        CodecError: it is not made of sections.
    """
    at = 0
    while at < len(message):
        end = skip(message, at)
        descriptor, _ = decode(message, at + 1) if message[at] == 0 else (None, at)
        if descriptor not in set(Section):
            raise CodecError(f"no section begins at byte {at}")
        yield Part(Section(descriptor), message[at:end])
        at = end


def section(kind: Section, value: Any) -> bytes:
    """Return one section as bytes."""
    return encode(Described(ULong(kind), value))


class Message(NamedTuple):
    """The parts of a message that the emulator reads; the rest stays as it is."""

    header: bytes  #: the section, or nothing
    annotations: Mapping[Any, Any]  #: of the message
    body: bytes  #: all sections after the annotations
    size: int  #: bytes, without the annotations: the same after we have added some


def read_message(raw: bytes) -> Message:
    """Parse a message; annotations for the delivery are meant for us and end here.

    Raises:
        CodecError: it is no message.
    """
    header, annotations, body = b"", {}, []
    for part in split(raw):
        match part.section:
            case Section.HEADER:
                header = part.raw
            case Section.MESSAGE_ANNOTATIONS:
                annotations = _checked(part, dict)
            case Section.DELIVERY_ANNOTATIONS:
                pass
            case _:
                body.append(part.raw)
    rest = b"".join(body)
    return Message(header, annotations, rest, len(header) + len(rest))


def read_batch(raw: bytes) -> tuple[Mapping[Any, Any], list[bytes]]:
    """Return the annotations of a batch, and its messages.

    Raises:
        CodecError: it is no batch.
    """
    annotations: Mapping[Any, Any] = {}
    messages = []
    for part in split(raw):
        if part.section is Section.MESSAGE_ANNOTATIONS:
            annotations = _checked(part, dict)
        elif part.section is Section.DATA:
            messages.append(_checked(part, bytes))
    return annotations, messages


class Request(NamedTuple):
    """A request message: its id, application properties and body."""

    message_id: Any
    properties: Mapping[Any, Any]
    body: Any


def read_request(raw: bytes) -> Request:
    """Read a request to `$cbs` or `$management`.

    Raises:
        CodecError: it is none.
    """
    values = {part.section: part.value() for part in split(raw)}
    properties = values.get(Section.PROPERTIES) or [None]
    requested = values.get(Section.APPLICATION_PROPERTIES) or {}
    if not isinstance(properties, list) or not isinstance(requested, dict):
        raise CodecError("a request with other properties than a list and a map")
    return Request(properties[0], requested, values.get(Section.VALUE))


def write_reply(correlation_id: Any, properties: Mapping[str, Any], body: Any) -> bytes:
    """Write a reply to a request; all 13 fields of its properties are written, or the client would miss them."""
    listed = [None] * 13
    listed[5] = correlation_id
    return b"".join(
        (
            section(Section.PROPERTIES, listed),
            section(Section.APPLICATION_PROPERTIES, dict(properties)),
            section(Section.VALUE, body),
        )
    )


def _checked(part: Part, kind: type) -> Any:
    value = part.value()
    if not isinstance(value, kind):
        raise CodecError(f"a section {part.section.name} with {type(value).__name__} in it")
    return value
