"""One connection: handshake, frames in and out, tokens, time-outs."""

import asyncio
import math
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Literal

from latigo.runtime.log import get_logger
from latigo.sandbox.eventhub.access import Grants
from latigo.sandbox.eventhub.behaviour import Traced
from latigo.sandbox.eventhub.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    SASL_HEADER,
    Attach,
    Begin,
    Close,
    End,
    Error,
    FrameReader,
    Open,
    Performative,
    ProtocolHeader,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    encode_frame,
)
from latigo.sandbox.eventhub.hub import Refused
from latigo.sandbox.eventhub.links import Link, Session, error_of
from latigo.sandbox.eventhub.namespace import Namespace
from latigo.sandbox.eventhub.nodes import CBS, MANAGEMENT, open_link
from latigo.sandbox.eventhub.values import Array, CodecError, Symbol, UByte, UInt, UShort

CONTAINER_ID = "latigo-event-hubs-emulator (development part)"

_CHANNEL_MAX = 4999
_SMALLEST_FRAME = 512
_MOST_UNSENT = 1024 * 1024
_ANONYMOUS = Symbol("ANONYMOUS")
#: Closing with unsent data discarded makes the kernel reset the connection.
_RESET = struct.pack("ii", 1, 0)

_numbers = count(1)
log = get_logger(__name__)


class Connection(asyncio.Protocol):
    """The server's end of a connection. Handles input as it arrives; nothing waits in here.

    Args:
        namespace: that the client talks to.
        connections: those that are open: it adds and removes itself.
    """

    def __init__(self, namespace: Namespace, connections: "set[Connection]") -> None:
        self.namespace = namespace
        self._connections = connections
        self.number = next(_numbers)
        self.sessions: dict[int, Session] = {}
        self.silent = False  #: reads, and sends nothing
        self.max_frame_size = _SMALLEST_FRAME  #: bytes, of what is sent; known once the client has opened
        self._grants = Grants()
        self._reader = FrameReader(namespace.limits.max_frame_size)
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._flushing: asyncio.Handle | None = None
        self._paused = False
        self._closed = False
        self._received_at = namespace.clock.monotonic()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # -- called by the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the connections, and count this one."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # of a stream, as everywhere here
        self._connections.add(self)
        self.namespace.behaviour.count("connections")
        self.silent = self.namespace.behaviour.silences()
        self._check_idle()

    def data_received(self, data: bytes) -> None:
        """Handle every complete frame."""
        self._received_at = self.namespace.clock.monotonic()
        if self.silent:
            return
        try:
            for arrived in self._reader.feed(data):
                if self._closed:
                    return
                if isinstance(arrived, ProtocolHeader):
                    self._negotiate(arrived.raw)
                else:
                    self._handle(*arrived)
        except CodecError as error:
            log.warning("frame.refused", connection=self.number, reason=str(error))
            self.close(Error(Symbol("amqp:decode-error"), str(error)))

    def pause_writing(self) -> None:
        """Stop sending: the client does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send again."""
        self._paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """End all sessions and timers."""
        self._closed = True
        self._connections.discard(self)
        for timer in self._timers.values():
            timer.cancel()
        for channel in list(self.sessions):
            self._end(channel)

    # -- frames ------------------------------------------------------------------------------------------------------

    def _handle(self, channel: int, performative: Performative | None, payload: bytes) -> None:
        self._trace("in", channel, performative, len(payload))
        match performative:
            case None:
                pass  # an empty frame: a sign of life
            case SaslInit():
                known = performative.mechanism == _ANONYMOUS
                self.send(0, SaslOutcome(UByte(0 if known else 1)))
            case Open():
                self._open(performative)
            case Begin():
                self._end(channel)
                self.sessions[channel] = Session(self, self._open_link, channel, performative)
            case End():
                self._end(channel)
                self.send(channel, End())
            case Close():
                self.close(None)
            case SaslMechanisms() | SaslOutcome():
                raise CodecError("a frame that only servers send")
            case _:
                if session := self.sessions.get(channel):  # the client goes on for a while in one that has ended
                    session.receive(performative, payload)

    def _end(self, channel: int) -> None:
        if session := self.sessions.pop(channel, None):
            session.end()

    def _negotiate(self, header: bytes) -> None:
        if header == SASL_HEADER:
            self._write(SASL_HEADER)
            self.send(0, SaslMechanisms(Array([_ANONYMOUS])))
        elif header == AMQP_HEADER:
            self._write(AMQP_HEADER)
        else:
            self._write(AMQP_HEADER)  # as in the standard: the version that is supported, and the end
            self._finish()

    def _open(self, requested: Open) -> None:
        limits = self.namespace.limits
        wanted = limits.max_frame_size if requested.max_frame_size is None else requested.max_frame_size
        self.max_frame_size = max(min(wanted, limits.max_frame_size), _SMALLEST_FRAME)
        self.send(
            0,
            Open(
                container_id=CONTAINER_ID,
                max_frame_size=UInt(limits.max_frame_size),
                channel_max=UShort(_CHANNEL_MAX),
                idle_time_out=UInt(limits.idle_time_out * 1000),
            ),
        )
        if requested.idle_time_out:
            self._stay_alive(requested.idle_time_out / 2000)

    def _open_link(self, session: Session, attach: Attach) -> Link | None:
        behaviour = self.namespace.behaviour
        try:
            return open_link(self, session, attach)
        except Refused as refused:
            behaviour.count("links_refused")
            session.refuse(attach, error_of(refused), behaviour.reject_style)
            return None

    def send(self, channel: int, performative: Performative, payload: bytes = b"") -> None:
        """Send a frame soon, together with others."""
        self._trace("out", channel, performative, len(payload))
        self._write(encode_frame(channel, performative, payload))

    def _write(self, data: bytes) -> None:
        self._unsent += data
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        unsent, self._unsent = self._unsent, bytearray()
        if unsent and not self.silent and not self._transport.is_closing():
            self._transport.write(unsent)
            if len(unsent) >= _MOST_UNSENT:
                self._pump()

    @property
    def writable(self) -> bool:
        """True while events may be sent: not more than the client reads."""
        return not self._paused and len(self._unsent) < _MOST_UNSENT

    def _pump(self) -> None:
        for session in list(self.sessions.values()):
            session.pump()

    def _trace(
        self, direction: Literal["in", "out"], channel: int, performative: Performative | None, payload: int
    ) -> None:
        on_frame = self.namespace.behaviour.on_frame
        if on_frame is not None:
            on_frame(Traced(self.number, direction, channel, performative, payload))

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self, error: Error | None) -> None:
        """Close it, with the reason."""
        if not self._closed:
            self.send(0, Close(error))
            self._finish()

    def abort(self) -> None:
        """Reset it."""
        with suppress(OSError, AttributeError):  # a WebSocket has no socket of its own
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._closed = True
        self._transport.abort()

    def _finish(self) -> None:
        self._flush()
        self._closed = True
        self._transport.close()

    # -- tokens ------------------------------------------------------------------------------------------------------

    def put_token(self, kind: object, token: object, audience: str) -> None:
        """Accept a token; the links that it allows are detached when it expires.

        Raises:
            TokenRefused: it gives no access.
        """
        self._grants.put(audience, self.namespace.keys.check(kind, token, audience, self._now()))
        self._watch_tokens()

    def allows(self, address: str) -> bool:
        """Return whether a token was put for an address."""
        return address in {CBS, MANAGEMENT} or self._grants.allow(address, self._now())

    def expire_tokens(self) -> int:
        """Expire all tokens. Return how many links were detached."""
        self._grants.end_all()
        return self._detach_unauthorized()

    def _watch_tokens(self) -> None:
        ends = self._grants.next_end(self._now())
        if ends < math.inf:
            self._later("tokens", ends - self._now(), self._tokens_ended)

    def _tokens_ended(self) -> None:
        self._detach_unauthorized()
        self._watch_tokens()

    def _detach_unauthorized(self) -> int:
        links = [link for session in self.sessions.values() for link in session.links.values()]
        unauthorized = [link for link in links if not self.allows(link.address)]
        for link in unauthorized:
            link.detach(Error(Symbol("amqp:unauthorized-access"), "ExpiredToken: The token is expired."))
        return len(unauthorized)

    def _now(self) -> float:
        return self.namespace.clock.now().timestamp()

    # -- time-outs ---------------------------------------------------------------------------------------------------

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._loop.call_later(seconds, call)

    def _check_idle(self) -> None:
        """Close it if nothing was received for too long; otherwise check again when that could be so."""
        if self.silent:
            return  # a silent server does not hang up either
        left = self._received_at + self.namespace.limits.idle_time_out - self.namespace.clock.monotonic()
        if left <= 0:
            self.close(Error(Symbol("amqp:connection:forced"), "The connection was idle for too long."))
        else:
            self._later("idle", left, self._check_idle)

    def _stay_alive(self, every: float) -> None:
        """Send empty frames, twice as often as the client needs to receive one."""
        self._trace("out", 0, None, 0)
        self._write(EMPTY_FRAME)
        self._later("alive", every, lambda: self._stay_alive(every))
