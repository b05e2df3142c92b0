"""Sessions and links: credit, and messages in several transfers.

What is sent over a link is up to `latigo.sandbox.eventhub.nodes`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from latigo.sandbox.eventhub.frames import (
    Accepted,
    AmqpPerformative,
    Attach,
    Begin,
    Detach,
    Disposition,
    Error,
    Flow,
    Rejected,
    Source,
    Target,
    Transfer,
)
from latigo.sandbox.eventhub.hub import Refused
from latigo.sandbox.eventhub.values import CodecError, UInt, ULong, UShort

MAX_MESSAGE_BYTES = 1024 * 1024
_CREDIT = 300
_WINDOW = 5000
_HANDLE_MAX = 255
_TRANSFER_BYTES = 128  #: of a frame without its payload, at most

Outcome = Accepted | Rejected
Settle = Callable[[Outcome], None]
"""Report the outcome of a message to the client."""

OpenLink = Callable[["Session", Attach], "Link | None"]
"""Open the link of an attach; None: it was refused, and the client has the reason."""


class Carrier(Protocol):
    """The connection of a session, as far as sessions need it."""

    max_frame_size: int  #: bytes, of what is sent

    @property
    def writable(self) -> bool:
        """Return whether events may be sent."""

    def send(self, channel: int, performative: AmqpPerformative, payload: bytes = b"") -> None:
        """Send a frame."""


class RejectStyle(StrEnum):
    """Ways to refuse a link; the client treats the first as a link without an end, and retries for ever."""

    NULL_TERMINUS = "null terminus"  #: attached without source or target, then detached; so does the service
    ATTACHED = "attached"  #: attached as if all was well, then detached


def error_of(refused: Refused) -> Error:
    """Return the error for the client."""
    return Error(refused.condition, str(refused))


class Session:
    """One session of a connection. Its windows count transfers."""

    def __init__(self, connection: Carrier, open_link: OpenLink, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.links: dict[int, Link] = {}
        self.window = int(begin.incoming_window)  #: transfers that the client still takes
        self._open_link = open_link
        self._channel = channel
        self._next_incoming_id = int(begin.next_outgoing_id)
        self._incoming_left = _WINDOW
        self._next_outgoing_id = 1
        self._next_delivery_id = 0
        self.send(Begin(UShort(channel), UInt(self._next_outgoing_id), UInt(_WINDOW), UInt(_WINDOW), UInt(_HANDLE_MAX)))

    def send(self, performative: AmqpPerformative, payload: bytes = b"") -> None:
        """Send a frame in this session."""
        self.connection.send(self._channel, performative, payload)

    def receive(self, performative: AmqpPerformative, payload: bytes) -> None:
        """Handle a frame. One for a link that has ended is ignored: the client sends them."""
        match performative:
            case Attach():
                self._attach(performative)
            case Flow():
                self._flow(performative)
            case Transfer():
                self._transfer(performative, payload)
            case Detach():
                if link := self.links.get(performative.handle):
                    link.end()
                    self.send(Detach(performative.handle, closed=performative.closed))
            case _:
                pass  # dispositions: the client never settles an event

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Send a part of a message, and count it."""
        self.send(transfer, payload)
        self._next_outgoing_id += 1
        self.window -= 1

    def flow(self, link: "Link | None", **of_link: UInt | bool) -> None:
        """Grant credit, and reopen the session's own window."""
        self._incoming_left = _WINDOW
        handle = None if link is None else UInt(link.handle)
        next_incoming, next_outgoing = UInt(self._next_incoming_id), UInt(self._next_outgoing_id)
        window = UInt(_WINDOW)
        self.send(Flow(next_incoming, window, next_outgoing, window, handle, **of_link))  # type: ignore[arg-type]  # by keyword, each of its own type

    def delivery_id(self) -> UInt:
        """Return a new delivery id."""
        number = UInt(self._next_delivery_id)
        self._next_delivery_id += 1
        return number

    def refuse(self, attach: Attach, error: Error, style: RejectStyle) -> None:
        """Refuse a link."""
        reply = attach_reply(attach)
        if style is RejectStyle.NULL_TERMINUS:
            reply = reply._replace(target=None) if reply.role else reply._replace(source=None)
        self.send(reply)
        self.send(Detach(attach.handle, closed=True, error=error))

    def end(self) -> None:
        """End all links."""
        for link in list(self.links.values()):
            link.end()

    def pump(self) -> None:
        """Send as much as credit allows."""
        for link in list(self.links.values()):
            link.pump()

    def _attach(self, attach: Attach) -> None:
        if attach.handle > _HANDLE_MAX:
            raise CodecError(f"a link with the handle {attach.handle}, beyond {_HANDLE_MAX}")
        if before := self.links.get(attach.handle):
            before.end()
        if link := self._open_link(self, attach):
            self.links[attach.handle] = link
            link.start()

    def _flow(self, flow: Flow) -> None:
        first = 1 if flow.next_incoming_id is None else flow.next_incoming_id
        self.window = first + flow.incoming_window - self._next_outgoing_id
        link = None if flow.handle is None else self.links.get(flow.handle)
        if link is not None:
            link.on_flow(flow)
        self.pump()

    def _transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id += 1
        self._incoming_left -= 1
        link = self.links.get(transfer.handle)
        if isinstance(link, IncomingLink):
            link.on_transfer(transfer, payload)
        if self._incoming_left < _WINDOW // 2:
            self.flow(None)


def attach_reply(attach: Attach) -> Attach:
    """Return the attach for our end of the link; source and target are always set."""
    return Attach(
        name=attach.name,
        handle=attach.handle,
        role=not attach.role,
        snd_settle_mode=attach.snd_settle_mode,
        rcv_settle_mode=attach.rcv_settle_mode,
        source=attach.source or Source(),
        target=attach.target or Target(),
        initial_delivery_count=UInt(0) if attach.role else None,
        max_message_size=ULong(MAX_MESSAGE_BYTES),
        properties=attach.properties,
    )


class Link:
    """One link while it is attached.

    Args:
        session: that it belongs to.
        attach: how the client opened it.
        address: of the node at our end.
    """

    def __init__(self, session: Session, attach: Attach, address: str) -> None:
        self.session = session
        self.name = attach.name
        self.handle = int(attach.handle)
        self.address = address
        self.attached = True
        self._attach = attach
        self._at_end: list[Callable[[], object]] = []

    def start(self) -> None:
        """Confirm the attach."""
        self.session.send(attach_reply(self._attach))

    def at_end(self, call: Callable[[], object]) -> None:
        """Register a call for the end of the link."""
        self._at_end.append(call)

    def end(self) -> None:
        """End it, without a frame to the client."""
        if self.attached:
            self.attached = False
            self.session.links.pop(self.handle, None)
            for call in self._at_end:
                call()

    def detach(self, error: Error) -> None:
        """End it, with the reason for the client."""
        if self.attached:
            self.end()
            self.session.send(Detach(UInt(self.handle), closed=True, error=error))

    def on_flow(self, flow: Flow) -> None:
        """Handle the client's flow."""

    def pump(self) -> None:
        """Send as much as credit allows."""


class IncomingLink(Link, ABC):
    """A link on which the client sends. At least half of the credit stays open."""

    def __init__(self, session: Session, attach: Attach, address: str) -> None:
        super().__init__(session, attach, address)
        self._delivery_count = int(attach.initial_delivery_count or 0)
        self._credit = 0
        self._parts = bytearray()
        self._first: Transfer | None = None

    def start(self) -> None:
        super().start()
        self._grant()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Collect the parts of a message, and take it with the last one."""
        first = self._first = self._first or transfer
        self._parts += payload
        if len(self._parts) > MAX_MESSAGE_BYTES:
            self.detach(error_of(Refused("amqp:link:message-size-exceeded", f"More than {MAX_MESSAGE_BYTES} bytes")))
            return
        if transfer.more:
            return
        message, self._parts, self._first = bytes(self._parts), bytearray(), None
        self._delivery_count += 1
        self._credit -= 1
        if transfer.aborted:
            return
        delivery = first.delivery_id or UInt(0)
        outcome = self._take(first, message, lambda late: self._settle(delivery, late))
        if outcome is not None and not first.settled:
            self._settle(delivery, outcome)
        if self._credit <= _CREDIT // 2 and self.attached:
            self._grant()

    @abstractmethod
    def take(self, message_format: int, message: bytes, settle: Settle) -> Outcome | None:
        """Take a message. Return the outcome, or None to call ``settle`` later.

        Raises:
            Refused: it is rejected.
            CodecError: it is not a message.
        """

    def _take(self, first: Transfer, message: bytes, settle: Settle) -> Outcome | None:
        try:
            return self.take(first.message_format or 0, message, settle)
        except Refused as refused:
            return Rejected(error_of(refused))
        except CodecError as error:
            return Rejected(error_of(Refused("amqp:decode-error", str(error))))

    def _settle(self, delivery: UInt, outcome: Outcome) -> None:
        if self.attached:
            self.session.send(Disposition(role=True, first=delivery, settled=True, state=outcome))

    def _grant(self) -> None:
        self._credit = _CREDIT
        self.session.flow(self, delivery_count=UInt(self._delivery_count), link_credit=UInt(_CREDIT))


class OutgoingLink(Link, ABC):
    """A link on which the client receives, as much as its credit and the session's window allow."""

    def __init__(self, session: Session, attach: Attach, address: str) -> None:
        super().__init__(session, attach, address)
        self._delivery_count = 0
        self._credit = 0
        self._rest = memoryview(b"")  #: of a message that is under way

    @abstractmethod
    def next_message(self) -> bytes | None:
        """Return the next message to send, if there is one."""

    def on_flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            self._credit = max((flow.delivery_count or 0) + flow.link_credit - self._delivery_count, 0)
        self.pump()
        if flow.drain:
            self._delivery_count, self._credit = self._delivery_count + self._credit, 0
        if flow.drain or flow.echo:
            self.session.flow(self, delivery_count=UInt(self._delivery_count), link_credit=UInt(self._credit))

    def pump(self) -> None:
        while self.attached and self.session.window > 0 and self.session.connection.writable:
            if self._rest:
                self._send_part(None)
                continue
            message = self.next_message() if self._credit > 0 else None
            if message is None:
                return
            self._rest = memoryview(message)
            self._delivery_count += 1
            self._credit -= 1
            self._send_part(self.session.delivery_id())

    def _send_part(self, delivery: UInt | None) -> None:
        room = self.session.connection.max_frame_size - _TRANSFER_BYTES
        part, self._rest = self._rest[:room], self._rest[room:]
        more = bool(self._rest)
        handle = UInt(self.handle)
        if delivery is None:
            transfer = Transfer(handle, more=more)
        else:
            tag = delivery.to_bytes(4, "big")
            transfer = Transfer(handle, delivery, tag, UInt(0), more=more)
        self.session.transfer(transfer, bytes(part))
