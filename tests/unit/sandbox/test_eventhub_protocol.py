"""The emulator's frames on the wire, to a client of the test's own."""

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Any, NamedTuple
from urllib.parse import quote_plus
from uuid import uuid4

import pytest
from azure.eventhub._pyamqp._decode import decode_frame as client_decodes
from hypothesis import given
from hypothesis import strategies as st

from latigo.runtime.clock import SystemClock
from latigo.sandbox.eventhub import Limits, RejectStyle
from latigo.sandbox.eventhub.access import JWT, SAS, Grants, Keys, TokenRefused
from latigo.sandbox.eventhub.behaviour import Behaviour
from latigo.sandbox.eventhub.connection import Connection
from latigo.sandbox.eventhub.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    SASL_HEADER,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Frame,
    FrameReader,
    Open,
    Performative,
    ProtocolHeader,
    SaslInit,
    SaslOutcome,
    Source,
    Target,
    Transfer,
    encode_frame,
)
from latigo.sandbox.eventhub.links import MAX_MESSAGE_BYTES
from latigo.sandbox.eventhub.messages import Section, section, split
from latigo.sandbox.eventhub.namespace import Namespace
from latigo.sandbox.eventhub.values import CodecError, Described, Symbol, Timestamp, UByte, UInt, ULong
from tests.support.waiting import eventually

HUB = "amqps://127.0.0.1/h"
PARTITION = f"{HUB}/ConsumerGroups/$Default/Partitions/0"
AUDIENCE = "sb://127.0.0.1/h"
KEY = "secret"
#: How many fields each performative has: the official client fails where there are fewer.
FIELDS = {0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1}


def sign(audience: str = AUDIENCE, *, expiry: float | None = None, key: str = KEY, name: str = "root") -> str:
    """A token as the service's documents describe it."""
    ends = f"{int(time.time()) + 60 if expiry is None else expiry}"
    digest = hmac.digest(key.encode(), f"{quote_plus(audience)}\n{ends}".encode(), hashlib.sha256)
    signature = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={quote_plus(audience)}&sig={signature}&se={ends}&skn={name}"


class Heard(NamedTuple):
    """A frame from the emulator."""

    performative: Any
    payload: bytes


class Wire(asyncio.Transport):
    """Keeps what the emulator writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Peer:
    """A client of the test's own, which has opened a connection and a session."""

    def __init__(self, namespace: Namespace, **opened: Any) -> None:
        self.wire = Wire()
        self.connections: set[Connection] = set()
        self.connection = Connection(namespace, self.connections)
        self.connection.connection_made(self.wire)
        self._reader = FrameReader(2**24)
        greeting = encode_frame(0, SaslInit(Symbol("ANONYMOUS")))
        self.connection.data_received(SASL_HEADER + greeting + AMQP_HEADER)
        self.send(Open("client", max_frame_size=UInt(65536), **opened), channel=0)
        self.send(Begin(None, UInt(0), UInt(100), UInt(100)))

    def send(self, performative: Performative, payload: bytes = b"", *, channel: int = 1) -> None:
        self.connection.data_received(encode_frame(channel, performative, payload))

    async def frames(self) -> list[Heard]:
        """What was written since the last time, headers left out."""
        await asyncio.sleep(0)
        raw, self.wire.written = bytes(self.wire.written), bytearray()
        return [Heard(each.performative, each.payload) for each in self._reader.feed(raw) if isinstance(each, Frame)]

    async def heard(self, kind: type) -> list[Any]:
        """The performatives of one kind among them."""
        return [frame.performative for frame in await self.frames() if isinstance(frame.performative, kind)]

    def log_in(self, token: str | None = None, audience: str = AUDIENCE) -> None:
        self.attach_receiver("$cbs", handle=100, credit=10)
        self.attach_sender("$cbs", handle=101)
        requested = {"operation": "put-token", "type": SAS, "name": audience, "expiration": Timestamp(0)}
        self.ask(101, requested, sign(audience) if token is None else token)

    def ask(self, handle: int, properties: dict[str, Any], body: Any = None) -> Any:
        """A request; its id."""
        number = uuid4()
        request = (
            section(Section.PROPERTIES, [number]),
            section(Section.APPLICATION_PROPERTIES, properties),
            section(Section.VALUE, body),
        )
        self.transfer(b"".join(request), handle=handle)
        return number

    def attach_sender(self, address: str = HUB, *, handle: int = 0) -> None:
        self.send(Attach("s", UInt(handle), role=False, source=Source("me"), target=Target(address)))

    def attach_receiver(
        self, address: str = PARTITION, *, handle: int = 0, credit: int | None = None, after: str = "-1", **more: Any
    ) -> None:
        name = Symbol("apache.org:selector-filter:string")
        selector = Described(name, f"amqp.annotation.x-opt-offset > '{after}'")
        source = Source(address, filter={name: selector})
        self.send(Attach("r", UInt(handle), role=True, source=source, target=Target("me"), **more))
        if credit is not None:
            self.flow(credit, handle=handle)

    def flow(
        self, credit: int, *, handle: int = 0, seen: int = 0, incoming: int = 1, window: int = 100, **more: Any
    ) -> None:
        counts = {"delivery_count": UInt(seen), "link_credit": UInt(credit), **more}
        self.send(Flow(UInt(incoming), UInt(window), UInt(0), UInt(100), UInt(handle), **counts))

    def transfer(self, message: bytes, *, handle: int = 0, delivery: int = 0, **more: Any) -> None:
        self.send(Transfer(UInt(handle), UInt(delivery), b"tag", UInt(0), **more), message)


@pytest.fixture
async def namespace() -> Namespace:
    return Namespace({"h": 1}, Keys("root", KEY, {"bearer"}), SystemClock(), Limits(), Behaviour())


@pytest.fixture
async def peer(namespace: Namespace) -> Peer:
    """It has logged in, and has read the answers."""
    client = Peer(namespace)
    client.log_in()
    await client.frames()
    return client


def put(namespace: Namespace, *bodies: bytes) -> None:
    namespace.hub("h").publish([section(Section.DATA, body) for body in bodies], namespace.now(), partition="0")


def bodies(frames: list[Heard]) -> list[bytes]:
    """The data of whole messages."""
    return [
        part.value()
        for frame in frames
        if isinstance(frame.performative, Transfer)
        for part in split(frame.payload)
        if part.section is Section.DATA
    ]


# -- frames ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), max_size=30))
def test_frames_are_the_same_however_they_were_cut_on_the_way(cuts):
    sent: list[Performative] = [Begin(None, UInt(1), UInt(2), UInt(3)), Detach(UInt(300), closed=True), End()]
    raw = AMQP_HEADER + b"".join(encode_frame(7, each) for each in sent) + EMPTY_FRAME

    reader = FrameReader(512)
    arrived: list[ProtocolHeader | Frame] = []
    for size in [*cuts, len(raw)]:
        arrived += reader.feed(raw[:size])
        raw = raw[size:]

    assert arrived == [ProtocolHeader(AMQP_HEADER), *(Frame(7, each) for each in sent), Frame(0, None)]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x00\x00\x07\x02\x00\x00\x00",  # shorter than its own header
        b"\x00\x00\x10\x00\x02\x00\x00\x00",  # longer than was agreed
        b"\x00\x00\x00\x08\x09\x00\x00\x00",  # a body that begins beyond the end
        b"\x00\x00\x00\x09\x02\x00\x00\x00\x40",  # null is no performative
        encode_frame(0, Detach(ULong(1))),  # type: ignore[arg-type]  # that is what is wrong with it
        b"\x00\x00\x00\x0e\x02\x00\x00\x00\x00\x53\x12\xc0\x01\x00",  # an attach without a name
    ],
)
def test_a_frame_that_cannot_be_is_refused(raw):
    with pytest.raises(CodecError):
        list(FrameReader(512).feed(raw))


async def test_the_handshake_is_the_services_own(namespace):
    client = Peer(namespace)
    await asyncio.sleep(0)

    written = bytes(client.wire.written)
    assert written.startswith(SASL_HEADER)
    frames = await client.frames()
    mechanisms, outcome, opened, begun = [frame.performative for frame in frames]
    assert mechanisms[0] == ("ANONYMOUS",)
    assert outcome == SaslOutcome(UByte(0))
    assert (opened.max_frame_size, opened.channel_max, opened.idle_time_out) == (65536, 4999, 240_000)
    assert "development" in opened.container_id
    assert (begun.remote_channel, begun.next_outgoing_id, begun.incoming_window, begun.handle_max) == (1, 1, 5000, 255)
    assert written.count(AMQP_HEADER) == 1


async def test_every_performative_has_all_of_its_fields(namespace, peer):
    """The official client reads them by position; what it makes of the raw bytes is what counts."""
    put(namespace, b"event")
    peer.attach_receiver(credit=5, handle=1)
    peer.attach_sender(handle=2)
    peer.transfer(section(Section.DATA, b"sent"), handle=2)
    peer.attach_sender(f"{HUB}/Partitions/9", handle=3)
    peer.send(Detach(UInt(1), closed=True))
    peer.send(End())
    peer.send(Close(), channel=0)
    await asyncio.sleep(0)

    raw = bytes(peer.wire.written)
    result: dict[int, int] = {}
    while raw:
        size = int.from_bytes(raw[:4], "big")
        code, fields = client_decodes(memoryview(raw[8:size]))
        result[code] = len(fields) - (code == 0x14)  # it hands the payload over as a last field
        raw = raw[size:]

    assert result == {code: FIELDS[code] for code in (0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18)}


async def test_a_header_of_another_protocol_is_answered_with_ours_and_the_end(namespace):
    connection, wire = Connection(namespace, set()), Wire()
    connection.connection_made(wire)

    connection.data_received(b"AMQP\x02\x01\x00\x00")

    assert (bytes(wire.written), wire.closed) == (AMQP_HEADER, True)


async def test_what_cannot_be_understood_closes_the_connection_and_says_so(peer):
    peer.connection.data_received(b"GET / HTTP/1.1\r\n\r\n")

    (closed,) = await peer.heard(Close)
    assert closed.error.condition == "amqp:decode-error"
    assert peer.wire.closed


async def test_frames_for_links_and_sessions_that_are_gone_are_ignored(peer):
    peer.attach_receiver(credit=1)
    peer.send(Detach(UInt(0), closed=True))
    peer.flow(5)
    peer.transfer(b"", handle=0)
    peer.send(Detach(UInt(0), closed=True))
    peer.send(End())
    peer.send(Detach(UInt(100), closed=True))
    peer.flow(5, handle=100)

    kinds = [type(frame.performative) for frame in await peer.frames()]
    assert kinds == [Attach, Detach, End]
    assert not peer.wire.closed


# -- access ----------------------------------------------------------------------------------------------------------


async def test_a_link_without_a_token_is_refused(namespace):
    peer = Peer(namespace)
    await peer.frames()

    peer.attach_receiver()

    attach, detach = [frame.performative for frame in await peer.frames()]
    assert attach.source is None
    assert attach.target is not None
    assert (detach.closed, detach.error.condition) == (True, "amqp:unauthorized-access")
    assert namespace.behaviour.counts["links_refused"] == 1


async def test_a_link_can_also_be_refused_after_it_was_attached(namespace):
    peer = Peer(namespace)
    namespace.behaviour.reject_style = RejectStyle.ATTACHED
    await peer.frames()

    peer.attach_sender()

    attach, detach = [frame.performative for frame in await peer.frames()]
    assert attach.source is not None
    assert attach.target is not None
    assert detach.error.condition == "amqp:unauthorized-access"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (sign, 202),
        (lambda: sign(key="other"), 401),
        (lambda: sign(name="other"), 401),
        (lambda: sign("sb://127.0.0.1/other"), 401),
        (lambda: sign(expiry=1), 401),
        (lambda: "junk", 401),
        (lambda: "", 401),
    ],
    ids=["good", "other key", "other name", "other audience", "expired", "junk", "empty"],
)
async def test_a_token_is_checked_and_the_answer_names_the_request(namespace, token, status):
    peer = Peer(namespace)
    peer.attach_receiver("$cbs", handle=100, credit=10)
    peer.attach_sender("$cbs", handle=101)
    await peer.frames()

    requested = peer.ask(101, {"operation": "put-token", "type": SAS, "name": AUDIENCE}, token())

    (payload,) = [frame.payload for frame in await peer.frames() if isinstance(frame.performative, Transfer)]
    parts = {part.section: part.value() for part in split(payload)}
    assert parts[Section.PROPERTIES][5] == requested
    assert parts[Section.APPLICATION_PROPERTIES]["status-code"] == status


def test_a_bearer_token_is_known_or_not():
    keys = Keys("root", KEY, {"known"})

    assert keys.check(JWT, "known", AUDIENCE, 0) > time.time()
    with pytest.raises(TokenRefused):
        keys.check(JWT, "unknown", AUDIENCE, 0)


def test_a_grant_is_for_everything_below_its_audience_until_it_ends():
    grants = Grants()
    grants.put("sb://somewhere:5671/Hub/consumergroups/G", 100)

    assert grants.allow("amqps://elsewhere/hub/ConsumerGroups/g/Partitions/3", 99)
    assert not grants.allow("amqps://elsewhere/hub/ConsumerGroups/g/Partitions/3", 100)
    assert not grants.allow("amqps://elsewhere/hub/ConsumerGroups/other/Partitions/3", 99)
    assert not grants.allow("amqps://elsewhere/hub", 99)


async def test_links_are_detached_when_their_token_ends(namespace):
    peer = Peer(namespace)
    peer.log_in(sign(expiry=time.time() + 0.05))
    peer.attach_receiver(credit=5)
    await peer.frames()

    await eventually(lambda: peer.wire.written)

    (detach,) = await peer.heard(Detach)
    assert (detach.handle, detach.error.condition) == (0, "amqp:unauthorized-access")


async def test_a_new_token_before_the_old_one_ends_keeps_links(namespace):
    peer, other = Peer(namespace), Peer(namespace)
    for each in (peer, other):  # the other one's token is no newer than the first
        each.log_in(sign(expiry=time.time() + 0.05))
        each.attach_receiver(credit=5)
    peer.ask(101, {"operation": "put-token", "type": SAS, "name": AUDIENCE}, sign())
    for each in (peer, other):
        await each.frames()

    await eventually(lambda: other.wire.written)

    assert await peer.frames() == []


# -- sending ---------------------------------------------------------------------------------------------------------


async def test_an_event_is_accepted_and_then_it_is_there(namespace, peer):
    peer.attach_sender()
    peer.transfer(section(Section.DATA, b"event"), delivery=7)

    (disposition,) = await peer.heard(Disposition)
    assert (disposition.role, disposition.first, disposition.settled) == (True, 7, True)
    assert type(disposition.state).__name__ == "Accepted"
    assert [event.body for event in namespace.hub("h").events] == [b"event"]


async def test_one_that_was_settled_by_its_sender_is_kept_without_a_word(namespace, peer):
    peer.attach_sender()
    peer.transfer(section(Section.DATA, b"event"), settled=True)

    assert await peer.heard(Disposition) == []
    assert len(namespace.hub("h").events) == 1


async def test_what_is_no_message_is_rejected(namespace, peer):
    peer.attach_sender()
    peer.transfer(b"junk")

    (disposition,) = await peer.heard(Disposition)
    assert disposition.state.error.condition == "amqp:decode-error"
    assert namespace.hub("h").events == []


async def test_a_message_in_parts_is_one_event(namespace, peer):
    raw = section(Section.DATA, bytes(range(256)) * 10)
    peer.attach_sender()
    await peer.frames()

    peer.transfer(raw[:100], more=True)
    peer.send(Transfer(UInt(0), more=True), raw[100:2000])
    assert await peer.frames() == []
    peer.send(Transfer(UInt(0)), raw[2000:])

    assert [type(frame.performative) for frame in await peer.frames()] == [Disposition]
    assert [event.body for event in namespace.hub("h").events] == [bytes(range(256)) * 10]


async def test_a_message_that_was_aborted_half_way_is_not_kept(namespace, peer):
    peer.attach_sender()
    peer.transfer(section(Section.DATA, b"half"), more=True)
    peer.send(Transfer(UInt(0), aborted=True))

    peer.transfer(section(Section.DATA, b"whole"))

    assert [event.body for event in namespace.hub("h").events] == [b"whole"]


async def test_a_message_beyond_the_limit_costs_the_link(namespace, peer):
    peer.attach_sender()
    for _ in range(MAX_MESSAGE_BYTES // 60_000 + 1):
        peer.transfer(bytes(60_000), more=True)

    (detach,) = await peer.heard(Detach)
    assert detach.error.condition == "amqp:link:message-size-exceeded"
    assert namespace.hub("h").events == []


@pytest.mark.parametrize("parts", [1, 40])
async def test_a_sender_never_runs_out_of_credit_or_window(peer, parts):
    peer.attach_sender()
    granted, window = 0, 0

    for sent in range(11_000):  # more than two windows
        for flow in await peer.heard(Flow):
            window = flow.next_incoming_id + flow.incoming_window
            granted = granted if flow.handle is None else flow.delivery_count + flow.link_credit
        assert sent // parts < granted
        assert sent < window
        peer.transfer(b"part", delivery=sent // parts, settled=True, more=sent % parts < parts - 1)


# -- receiving -------------------------------------------------------------------------------------------------------


async def test_no_more_events_are_sent_than_there_is_credit(namespace, peer):
    put(namespace, *(b"%d" % number for number in range(10)))

    peer.attach_receiver(credit=0)
    assert bodies(await peer.frames()) == []
    peer.flow(3)
    assert bodies(await peer.frames()) == [b"0", b"1", b"2"]
    peer.flow(2, seen=3, incoming=4)
    assert bodies(await peer.frames()) == [b"3", b"4"]
    peer.flow(4, seen=3, incoming=4)  # it had not seen the last two when it sent this
    assert bodies(await peer.frames()) == [b"5", b"6"]


async def test_no_more_transfers_are_sent_than_the_session_takes(namespace, peer):
    put(namespace, *(b"%d" % number for number in range(10)))
    peer.attach_receiver()
    first = 1 + len(await peer.heard(Transfer))

    peer.flow(10, incoming=first + 1, window=4)
    assert bodies(await peer.frames()) == [b"0", b"1", b"2", b"3"]
    peer.flow(6, seen=4, incoming=first + 5, window=3)
    assert bodies(await peer.frames()) == [b"4", b"5", b"6"]


async def test_a_reader_whose_next_events_were_dropped_resumes_with_the_oldest_one():
    namespace = Namespace({"h": 1}, Keys("root", KEY), SystemClock(), Limits(), Behaviour(), keep=3)
    peer = Peer(namespace)
    peer.log_in()
    put(namespace, b"0", b"1")
    peer.attach_receiver(credit=1)
    assert bodies(await peer.frames()) == [b"0"]

    put(namespace, b"2", b"3", b"4", b"5")
    peer.flow(9, seen=1, incoming=3)

    assert bodies(await peer.frames()) == [b"3", b"4", b"5"]


async def test_new_events_are_sent_at_once_to_waiting_readers(namespace, peer):
    peer.attach_receiver(credit=5)
    await peer.frames()

    put(namespace, b"new")

    (frame,) = await peer.frames()
    assert bodies([frame]) == [b"new"]
    assert isinstance(frame.performative, Transfer)
    assert frame.performative.settled is None, "as the service has it"


async def test_an_event_larger_than_a_frame_comes_in_parts_even_where_the_window_ends_between_them(namespace, peer):
    big = bytes(range(256)) * 600  # 150 kB, three frames
    put(namespace, big, b"small")
    peer.attach_receiver()
    await peer.frames()

    peer.flow(5, incoming=2, window=2)
    parts = await peer.frames()
    peer.flow(4, seen=0, incoming=4, window=5)
    parts += await peer.frames()

    transfers = [frame.performative for frame in parts]
    assert [transfer.more for transfer in transfers] == [True, True, False, False]
    assert [transfer.delivery_id is None for transfer in transfers] == [False, True, True, False]
    data = [part.value() for part in split(b"".join(frame.payload for frame in parts)) if part.section is Section.DATA]
    assert data == [big, b"small"]


async def test_every_delivery_has_a_tag_of_its_own(namespace, peer):
    put(namespace, *(b"%d" % number for number in range(50)))
    peer.attach_receiver(credit=50)

    tags = [transfer.delivery_tag for transfer in await peer.heard(Transfer)]
    assert len(set(tags)) == 50
    assert {len(tag) for tag in tags} == {4}


async def test_a_receiver_that_drains_gets_what_there_is_and_has_no_credit_left(namespace, peer):
    put(namespace, b"one")
    peer.attach_receiver()
    await peer.frames()

    peer.flow(5, drain=True)

    frames = await peer.frames()
    (flow,) = [frame.performative for frame in frames if isinstance(frame.performative, Flow)]
    assert bodies(frames[:1]) == [b"one"]
    assert (flow.delivery_count, flow.link_credit) == (5, 0)
    put(namespace, b"two")
    assert await peer.frames() == []


async def test_a_flow_that_wants_an_answer_gets_one(peer):
    peer.attach_receiver()
    await peer.frames()

    peer.flow(7, echo=True)

    (flow,) = await peer.heard(Flow)
    assert (flow.handle, flow.link_credit) == (0, 7)


async def test_a_client_that_does_not_read_is_not_buried_in_events(namespace, peer):
    peer.attach_receiver(credit=5)
    await peer.frames()

    peer.connection.pause_writing()
    put(namespace, b"one", b"two")
    assert bodies(await peer.frames()) == []
    peer.connection.resume_writing()

    assert bodies(await peer.frames()) == [b"one", b"two"]


async def test_a_link_that_ended_gets_nothing_more(namespace, peer):
    peer.attach_receiver(credit=5)
    peer.send(Detach(UInt(0), closed=True))
    await peer.frames()

    put(namespace, b"one")

    assert await peer.frames() == []
    assert namespace.hub("h")["0"].readers == {}


async def test_links_to_a_hub_that_is_deleted_are_detached_with_the_reason(namespace, peer):
    peer.attach_receiver(credit=5)
    peer.attach_sender(HUB, handle=1)
    await peer.frames()

    namespace.delete_hub("h")

    detached = await peer.heard(Detach)
    assert [frame.handle for frame in detached] == [0, 1]
    assert {frame.error.condition for frame in detached} == {"amqp:not-found"}


async def test_a_connection_that_is_lost_leaves_nothing_behind(namespace, peer):
    epoch = {Symbol("com.microsoft:epoch"): 5}
    peer.attach_receiver(credit=5, properties=epoch)
    peer.connection.connection_lost(None)

    assert peer.connections == set()
    assert namespace.hub("h").users == {}
    assert namespace.hub("h")["0"].readers == {}
    assert namespace.hub("h").receivers("$Default", "0").admit("another", None) == []


async def test_the_newest_event_is_sent_with_each_to_receivers_that_want_it(namespace, peer):
    put(namespace, b"one", b"two")
    wanted = Symbol("com.microsoft:enable-receiver-runtime-metric")
    peer.attach_receiver(credit=1, desired_capabilities=wanted)

    (payload,) = [frame.payload for frame in await peer.frames() if isinstance(frame.performative, Transfer)]
    properties = next(part.value() for part in split(payload) if part.section is Section.DELIVERY_ANNOTATIONS)
    newest = namespace.hub("h")["0"].events[1]
    assert properties["last_enqueued_sequence_number"] == 1
    assert properties["last_enqueued_offset"] == newest.offset
    assert properties["last_enqueued_time_utc"] == newest.enqueued
    assert properties["runtime_info_retrieval_time_utc"] >= newest.enqueued


# -- time-outs -------------------------------------------------------------------------------------------------------


async def test_a_connection_that_is_idle_for_too_long_is_closed_with_the_reason():
    namespace = Namespace({"h": 1}, Keys("root", KEY), SystemClock(), Limits(idle_time_out=0.05), Behaviour())
    peer = Peer(namespace)
    await peer.frames()

    await eventually(lambda: peer.wire.closed)

    (closed,) = await peer.heard(Close)
    assert closed.error.condition == "amqp:connection:forced"


async def test_a_client_with_a_time_out_hears_something_twice_as_often(namespace):
    peer = Peer(namespace, idle_time_out=UInt(20))
    await peer.frames()

    await eventually(lambda: len(peer.wire.written) >= 3 * len(EMPTY_FRAME))

    assert {frame.performative for frame in await peer.frames()} == {None}
    peer.connection.connection_lost(None)


async def test_bytes_after_the_end_are_not_parsed(namespace, peer):
    peer.attach_sender()
    closing = encode_frame(0, Close()) + encode_frame(1, Transfer(UInt(0)), section(Section.DATA, b"late"))
    await peer.frames()

    peer.connection.data_received(closing)

    assert [type(frame.performative) for frame in await peer.frames()] == [Close]
    assert namespace.hub("h").events == []
