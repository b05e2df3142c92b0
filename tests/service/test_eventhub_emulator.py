"""The emulator against the official client, unmodified: what it can do, and what it does when things go wrong."""

import asyncio
import datetime as dt
import ipaddress
import ssl
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.eventhub import EventData, TransportType
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    EventDataSendError,
    EventHubError,
    OperationTimeoutError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from latigo.sandbox.eventhub import EventHubsEmulator, Limits, RejectStyle, Scope, open_event_hubs
from tests.support.clock import ManualClock
from tests.support.event_hubs import (
    HUB,
    event_hubs,
    open_freezing_proxy,
    open_producer,
    receiving,
    running_event_hubs,
)
from tests.support.waiting import eventually

__all__ = ["event_hubs"]

#: Fails at once, instead of after four attempts.
IMPATIENT: dict[str, Any] = {"retry_total": 0}


def bodies(emulator: EventHubsEmulator, partition: str | None = None) -> list[bytes]:
    """What the hub has."""
    hub = emulator.hub(HUB)
    return [event.body for event in (hub.events if partition is None else hub[partition].events)]


async def send(producer: Any, *texts: bytes, **options: Any) -> None:
    batch = await producer.create_batch(**options)
    for text in texts:
        batch.add(EventData(text))
    await producer.send_batch(batch)


# -- sending and receiving -------------------------------------------------------------------------------------------


async def test_what_is_sent_is_received_as_it_was(event_hubs):
    event = EventData(b"\x00\xffbody")
    event.properties = {"text": "t", "number": 7, "flag": True}
    event.message_id, event.correlation_id, event.content_type = "m", "c", "application/x"

    async with open_producer(event_hubs) as producer:
        await producer.send_event(event, partition_key="key")
    async with receiving(event_hubs) as received:
        await received.count(1)

    ((partition, got),) = received.events
    (kept,) = event_hubs.hub(HUB)[partition].events
    assert received.bodies() == [b"\x00\xffbody"]
    assert got.properties == {b"text": b"t", b"number": 7, b"flag": True}
    assert (got.message_id, got.correlation_id, got.content_type) == ("m", "c", "application/x")
    assert (got.sequence_number, got.offset, got.partition_key) == (0, "0", b"key")
    assert got.enqueued_time == datetime.fromtimestamp(kept.enqueued / 1000, UTC)
    assert abs(got.enqueued_time - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_receiver_can_get_the_newest_event_with_each(event_hubs):
    event_hubs.put(HUB, b"one", b"two", b"three", partition="0")

    async with receiving(event_hubs, partition_id="0", track_last_enqueued_event_properties=True) as received:
        await received.count(3)

    newest = event_hubs.hub(HUB)["0"].events[-1]
    properties = received.newest["0"]
    assert (properties["sequence_number"], properties["offset"]) == (2, newest.offset)
    assert properties["enqueued_time"] == datetime.fromtimestamp(newest.enqueued / 1000, UTC)


async def test_a_key_has_a_partition_a_batch_stays_together_and_a_partition_can_be_chosen(event_hubs):
    async with open_producer(event_hubs) as producer:
        for key in ("a", "b", "a", "b"):
            await send(producer, b"1 of " + key.encode(), b"2 of " + key.encode(), partition_key=key)
        await send(producer, b"here", partition_id="3")
        for number in range(4):
            await send(producer, b"any %d" % number, b"any %d" % number)

    places = {body: set[str]() for body in bodies(event_hubs)}
    for partition in event_hubs.hub(HUB).partitions:
        for event in partition.events:
            places[event.body].add(partition.id)
    assert places[b"here"] == {"3"}
    assert all(len(where) == 1 for where in places.values()), "nothing is torn apart"
    assert len({next(iter(places[b"any %d" % number])) for number in range(4)}) == 4
    keyed = Counter(event.partition_key for event in event_hubs.hub(HUB).events)
    assert keyed == {"a": 4, "b": 4, None: 9}
    assert event_hubs.controls.counts["sends"] == 9


async def test_the_buffered_producer_works_too(event_hubs):
    async with open_producer(
        event_hubs, buffered_mode=True, max_wait_time=0.1, on_success=_ignore, on_error=_fail
    ) as producer:
        for number in range(20):
            await producer.send_event(EventData(b"%d" % number), partition_key=f"key {number % 5}")
        await producer.flush()

    assert sorted(bodies(event_hubs)) == sorted(b"%d" % number for number in range(20))


async def _ignore(_events: object, _partition: object) -> None:
    """Send an event."""


async def _fail(_events: object, _partition: object, error: Exception) -> None:
    raise error


async def test_an_event_of_a_megabyte_passes_both_ways(event_hubs):
    big = bytes(range(256)) * 4090  # sent in parts, and received in parts

    async with open_producer(event_hubs) as producer:
        await producer.send_event(EventData(big), partition_id="0")
        with pytest.raises(ValueError, match="size limit"):
            (await producer.create_batch()).add(EventData(bytes(1024 * 1024)))
    async with receiving(event_hubs) as received:
        await received.count(1)

    assert received.bodies() == [big]


async def test_events_arrive_in_order_from_all_partitions_also_while_they_are_sent(event_hubs):
    async with receiving(event_hubs) as received, open_producer(event_hubs) as producer:
        for start in range(0, 400, 40):
            for partition in "0123":
                await send(producer, *(b"%d" % number for number in range(start, start + 40)), partition_id=partition)
        await received.count(1600)

    for partition in "0123":
        mine = [event for where, event in received.events if where == partition]
        assert [event.body_as_str() for event in mine] == [str(number) for number in range(400)]
        assert [event.sequence_number for event in mine] == list(range(400))


async def test_what_a_hub_is_like_can_be_asked(event_hubs):
    event_hubs.put(HUB, b"one", b"two", partition="1")

    async with open_producer(event_hubs) as producer:
        hub = await producer.get_eventhub_properties()
        empty = await producer.get_partition_properties("0")
        filled = await producer.get_partition_properties("1")

    assert (hub["eventhub_name"], hub["partition_ids"]) == (HUB, ["0", "1", "2", "3"])
    assert abs(hub["created_at"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert (empty["is_empty"], empty["last_enqueued_sequence_number"], empty["last_enqueued_offset"]) == (
        True,
        -1,
        "-1",
    )
    assert empty["beginning_sequence_number"] == 0
    assert empty["last_enqueued_time_utc"] == datetime(1, 1, 1, tzinfo=UTC)
    newest = event_hubs.hub(HUB)["1"].events[-1]
    assert (filled["is_empty"], filled["last_enqueued_sequence_number"]) == (False, 1)
    assert filled["last_enqueued_offset"] == newest.offset


async def test_only_the_newest_events_are_there_and_a_receiver_begins_with_the_oldest_of_them():
    async with open_event_hubs({HUB: 1}, keep=3) as emulator:
        emulator.put(HUB, *(b"%d" % number for number in range(5)))
        async with open_producer(emulator) as producer:
            properties = await producer.get_partition_properties("0")
        async with receiving(emulator, starting_position=0) as received:
            await received.count(3)

    assert (properties["beginning_sequence_number"], properties["last_enqueued_sequence_number"]) == (2, 4)
    assert received.bodies() == [b"2", b"3", b"4"]


async def test_a_hub_that_is_not_there_is_not_found(event_hubs):
    async with open_producer(event_hubs, "other", **IMPATIENT) as producer:
        with pytest.raises(EventHubError, match="Status code: 404"):
            await producer.get_eventhub_properties()


async def test_a_receiver_begins_where_it_wants_to():
    clock = ManualClock(datetime.now(UTC))  # tokens want it to be near the time of day
    async with open_event_hubs({HUB: 7}, clock=clock) as emulator:
        partitions = emulator.hub(HUB).partitions
        for number in range(4):
            clock.jump(timedelta(seconds=1))
            for partition in partitions:
                emulator.put(HUB, b"%d" % number, partition=partition.id)
        third = partitions[0].events[2]
        time_of_third = datetime.fromtimestamp(third.enqueued / 1000, UTC)

        begins: list[tuple[Any, bool, list[int]]] = [
            ("-1", False, [0, 1, 2, 3]),
            ("@latest", False, []),
            (1, False, [2, 3]),
            (1, True, [1, 2, 3]),
            (third.offset, False, [3]),
            (time_of_third, True, [2, 3]),
            (time_of_third, False, [3]),
        ]
        positions = {str(number): position for number, (position, _, _) in enumerate(begins)}
        inclusive = {str(number): whether for number, (_, whether, _) in enumerate(begins)}
        options: dict[str, Any] = {"starting_position": positions, "starting_position_inclusive": inclusive}
        async with receiving(emulator, **options) as received:
            await emulator.controls.counted("receivers", 7)
            for partition in partitions:
                emulator.put(HUB, b"4", partition=partition.id)
            await received.count(sum(len(expected) + 1 for _, _, expected in begins))

    for number, (position, whether, expected) in enumerate(begins):
        mine = [event.sequence_number for where, event in received.events if where == str(number)]
        assert mine == [*expected, 4], (position, whether)


# -- who may read ----------------------------------------------------------------------------------------------------


async def test_a_receiver_with_an_equal_epoch_takes_the_partition_over(event_hubs):
    event_hubs.put(HUB, b"event", partition="0")

    async with receiving(event_hubs, partition_id="0", owner_level=0) as first:
        await first.count(1)
        async with receiving(event_hubs, partition_id="0", owner_level=0) as second:
            await second.count(1)
            await eventually(lambda: first.closed)

    assert event_hubs.controls.counts["links_stolen"] == 1
    assert [type(error).__name__ for error in first.errors] == ["ConnectionLostError"] or first.errors
    assert first.closed[0] == ("0", "OWNERSHIP_LOST")
    assert second.errors == []


async def test_one_with_a_lower_epoch_does_not(event_hubs):
    event_hubs.controls.reject_style = RejectStyle.ATTACHED
    event_hubs.put(HUB, b"event", partition="0")

    async with receiving(event_hubs, partition_id="0", owner_level=5) as present:
        await present.count(1)
        async with receiving(event_hubs, partition_id="0", owner_level=4, client=IMPATIENT) as late:
            await eventually(lambda: late.errors)

    assert late.events == []
    assert present.errors == []
    assert event_hubs.controls.counts["links_stolen"] == 0


# -- access ----------------------------------------------------------------------------------------------------------


async def test_the_wrong_key_opens_nothing(event_hubs):
    old = event_hubs.connection_string(HUB)
    event_hubs.controls.rotate_key()

    async with open_producer(old, **IMPATIENT) as producer:
        with pytest.raises((AuthenticationError, ConnectError)):
            await producer.get_eventhub_properties()
    async with open_producer(event_hubs) as producer:
        assert await producer.get_partition_ids() == ["0", "1", "2", "3"]

    assert event_hubs.controls.counts["tokens_refused"] >= 1


async def test_a_rotated_key_does_not_affect_connections_until_their_tokens_end(event_hubs):
    async with receiving(event_hubs, partition_id="0") as received:
        await event_hubs.controls.counted("receivers")
        event_hubs.controls.rotate_key()
        event_hubs.put(HUB, b"before", partition="0")
        await received.count(1)

        assert event_hubs.controls.expire_tokens() == 1
        await event_hubs.controls.counted("tokens_refused")

    assert received.errors == [], "the client tries on in silence"


async def test_a_token_that_expired_costs_a_reconnect_and_no_event(event_hubs):
    async with receiving(event_hubs, partition_id="0") as received:
        event_hubs.put(HUB, b"one", partition="0")
        await received.count(1)

        assert event_hubs.controls.expire_tokens() == 1
        event_hubs.put(HUB, b"two", partition="0")
        await received.count(2)

    assert received.bodies() == [b"one", b"two"]
    assert event_hubs.controls.counts["receivers"] == 2


class Bearer:
    """A credential without a key, as managed identities have it."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://eventhubs.azure.net//.default",)
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(("token", "opens"), [("known", True), ("unknown", False)])
async def test_a_client_can_log_in_without_a_key(token, opens):
    async with open_event_hubs({HUB: 2}, bearer_tokens={"known"}) as emulator:
        name = f"127.0.0.1:{emulator.port}"
        credential: Any = Bearer(token)
        options: dict[str, Any] = {"use_tls": False, **IMPATIENT}
        async with EventHubProducerClient(name, HUB, credential, **options) as producer:
            if opens:
                assert await producer.get_partition_ids() == ["0", "1"]
            else:
                with pytest.raises((AuthenticationError, ConnectError)):
                    await producer.get_partition_ids()


# -- receivers in trouble --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strike",
    [
        lambda controls: controls.detach_receivers("amqp:link:detach-forced"),
        lambda controls: controls.close_connections(),
        lambda controls: controls.abort_connections(),
    ],
    ids=["detached", "closed", "reset"],
)
async def test_a_receiver_comes_back_by_itself_and_misses_nothing(
    event_hubs: EventHubsEmulator, strike: Callable[[Any], int]
):
    async with receiving(event_hubs, partition_id="0") as received:
        event_hubs.put(HUB, b"one", partition="0")
        await received.count(1)

        assert strike(event_hubs.controls) == 1
        event_hubs.put(HUB, b"two", partition="0")
        await received.count(2)

    assert received.bodies() == [b"one", b"two"]
    assert received.errors == []
    assert event_hubs.controls.counts["receivers"] == 2


async def test_one_of_several_receivers_can_be_detached(event_hubs):
    async with receiving(event_hubs):
        await eventually(lambda: len(event_hubs.controls.receivers()) == 4)

        assert event_hubs.controls.detach_receivers("amqp:link:detach-forced", scope=Scope(partition="2")) == 1

        assert sorted(link.place.partition or "" for link in event_hubs.controls.receivers()) == ["0", "1", "3"]
        await eventually(lambda: len(event_hubs.controls.receivers()) == 4)


async def test_a_checkpoint_beyond_the_end_is_refused_in_silence_or_aloud(event_hubs):
    async with receiving(event_hubs, partition_id="0", starting_position="999") as quiet:
        await event_hubs.controls.counted("links_refused", 2)

        event_hubs.controls.reject_style = RejectStyle.ATTACHED
        async with receiving(event_hubs, partition_id="0", starting_position="999", client=IMPATIENT) as properties:
            await eventually(lambda: properties.errors)

    assert quiet.errors == []
    assert "The supplied offset '999' is invalid. The last offset in the system is '-1'" in str(properties.errors[0])


async def test_where_offsets_are_not_checked_it_waits_at_the_end(event_hubs):
    event_hubs.controls.strict_offsets = False
    event_hubs.put(HUB, b"old", partition="0")

    async with receiving(event_hubs, partition_id="0", starting_position="999") as received:
        await event_hubs.controls.counted("receivers")
        event_hubs.put(HUB, b"new", partition="0")
        await received.count(1)

    assert received.bodies() == [b"new"]


async def test_a_hub_that_is_made_anew_begins_again_and_old_positions_are_beyond_its_end(event_hubs):
    event_hubs.put(HUB, b"old", b"old", partition="0")
    async with receiving(event_hubs, partition_id="0") as received:
        await received.count(2)
        event_hubs.namespace.recreate_hub(HUB)
        event_hubs.put(HUB, b"new", partition="0")
        await event_hubs.controls.counted("links_refused", 2)
    async with receiving(event_hubs, partition_id="0") as fresh:
        await fresh.count(1)

    assert received.bodies() == [b"old", b"old"]
    assert received.errors == [], "the client tries on in silence"
    assert [(event.sequence_number, event.offset) for _, event in fresh.events] == [(0, "0")]


async def test_links_can_be_refused_for_a_while(event_hubs):
    event_hubs.put(HUB, b"event", partition="0")

    with event_hubs.controls.refuse_links("amqp:not-found", times=2) as trouble:
        async with receiving(event_hubs, partition_id="0") as received:
            await received.count(1)

    assert trouble.met == 2


# -- senders in trouble ----------------------------------------------------------------------------------------------


async def test_a_send_that_is_rejected_once_is_repeated_by_the_client(event_hubs):
    async with open_producer(event_hubs, **IMPATIENT) as producer:
        with event_hubs.controls.reject_sends(times=1) as trouble:
            await send(producer, b"event")

    assert trouble.met == 1
    assert bodies(event_hubs) == [b"event"]


@pytest.mark.parametrize("condition", ["com.microsoft:server-busy", "amqp:link:message-size-exceeded"])
async def test_sends_can_be_rejected(event_hubs, condition):
    async with open_producer(event_hubs, **IMPATIENT) as producer:
        with event_hubs.controls.reject_sends(condition), pytest.raises(EventDataSendError):
            await send(producer, b"event")
        await send(producer, b"later")

    assert bodies(event_hubs) == [b"later"]
    assert event_hubs.controls.counts["sends_rejected"] >= 2


async def test_an_acknowledgement_that_does_not_come_is_a_time_out_and_the_event_is_there(event_hubs):
    async with open_producer(event_hubs, **IMPATIENT) as producer:
        await producer.send_event(EventData(b"event"))  # its link is there from now on
        with event_hubs.controls.withhold_acknowledgements() as trouble:
            with pytest.raises(OperationTimeoutError):
                await producer.send_event(EventData(b"withheld"), timeout=2)
            assert trouble.met >= 1

    assert set(bodies(event_hubs)) == {b"event", b"withheld"}


async def test_acknowledgements_that_were_withheld_come_in_the_end(event_hubs):
    async with open_producer(event_hubs) as producer:
        trouble = event_hubs.controls.withhold_acknowledgements()
        sending = asyncio.create_task(send(producer, b"event"))
        await trouble.reached()
        assert not sending.done()

        trouble.lift()
        await asyncio.wait_for(sending, 120)

    assert bodies(event_hubs) == [b"event"]


async def test_a_producer_that_was_idle_for_too_long_sends_all_the_same():
    async with open_event_hubs({HUB: 1}, limits=Limits(idle_time_out=1.0)) as emulator:
        async with open_producer(emulator) as producer:
            await send(producer, b"one")
            await eventually(lambda: not emulator.controls.senders(), what="the connection is closed")
            await send(producer, b"two")

        assert bodies(emulator) == [b"one", b"two"]


# -- the network -----------------------------------------------------------------------------------------------------


async def test_a_peer_that_never_answers_keeps_the_client_waiting(event_hubs):
    async with open_producer(event_hubs) as producer:
        with event_hubs.controls.stop_answering() as trouble:
            pending = asyncio.create_task(producer.get_partition_ids())
            await trouble.reached()
            done, _ = await asyncio.wait({pending}, timeout=1)

        assert not done
        assert event_hubs.controls.abort_connections() == 1
        assert await asyncio.wait_for(pending, 120) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("how", ["silent emulator", "frozen network"])
async def test_a_client_with_a_time_out_leaves_a_connection_that_is_dead(event_hubs, how):
    async with open_freezing_proxy(event_hubs.port) as proxy:
        through = event_hubs.connection_string(HUB, port=proxy.port)
        async with receiving(through, partition_id="0", client={"idle_timeout": 5}) as received:
            event_hubs.put(HUB, b"one", partition="0")
            await received.count(1)

            if how == "frozen network":
                proxy.freeze()
            else:
                event_hubs.controls.stop_answering(new=False)
            event_hubs.put(HUB, b"two", partition="0")
            await received.count(2)

    assert received.bodies() == [b"one", b"two"]
    assert received.errors == []
    assert event_hubs.controls.counts["receivers"] == 2


async def test_a_client_with_a_time_out_stays_while_nothing_happens(event_hubs):
    event_hubs.controls.start_trace()

    async with receiving(event_hubs, partition_id="0", client={"idle_timeout": 5}) as received:
        await event_hubs.controls.counted("receivers")
        await eventually(lambda: _empty_frames(event_hubs) >= 3, what="longer than the client's time-out")
        event_hubs.put(HUB, b"event", partition="0")
        await received.count(1)

    assert event_hubs.controls.counts["receivers"] == 1


def _empty_frames(emulator: EventHubsEmulator) -> int:
    """How many were sent."""
    return sum(frame.performative is None for frame in emulator.controls.trace if frame.direction == "out")


async def test_an_outage_is_waited_for(event_hubs):
    event_hubs.put(HUB, b"one", partition="0")
    port = event_hubs.port

    async with receiving(
        event_hubs, partition_id="0", client={"ssl_context": ssl.create_default_context()}
    ) as received:
        await received.count(1)
        async with event_hubs.outage(), open_producer(event_hubs, **IMPATIENT) as producer:
            with pytest.raises(ConnectError):
                await producer.get_partition_ids()
        event_hubs.put(HUB, b"two", partition="0")
        await received.count(2)

    assert event_hubs.port == port
    assert received.bodies() == [b"one", b"two"]


# -- transports ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl=None is deprecated")  # the client's own
async def test_it_works_over_websockets():
    async with open_event_hubs({HUB: 1}, websocket=True) as emulator:
        over: dict[str, Any] = {
            "transport_type": TransportType.AmqpOverWebsocket,
            "custom_endpoint_address": f"sb://127.0.0.1:{emulator.websocket_port}",
        }
        async with open_producer(emulator, **over) as producer:
            await send(producer, b"one", bytes(200_000))
        async with receiving(emulator, partition_id="0", client=over) as received:
            await received.count(2)
            emulator.controls.detach_receivers("amqp:link:detach-forced")
            emulator.put(HUB, b"after")
            await received.count(3)

    assert received.bodies() == [b"one", bytes(200_000), b"after"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for the loopback address, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "emulator.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_it_works_over_tls(certificate):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    async with open_event_hubs({HUB: 1}, ssl_context=server) as emulator:
        where = emulator.connection_string(HUB).replace(";UseDevelopmentEmulator=true", "")
        over: dict[str, Any] = {
            "ssl_context": ssl.create_default_context(cafile=str(certificate)),
            "transport_type": TransportType.Amqp,
            "custom_endpoint_address": f"sb://127.0.0.1:{emulator.port}",
        }
        async with open_producer(where, **over) as producer:
            await send(producer, b"one")
        async with receiving(where, partition_id="0", client=over) as received:
            await received.count(1)

    assert received.bodies() == [b"one"]


# -- a process of its own --------------------------------------------------------------------------------------------


async def test_one_that_was_killed_has_its_events_again(tmp_path):
    async with running_event_hubs(data_dir=tmp_path) as first:
        async with open_producer(first.connection_string) as producer:
            await send(producer, *(b"%d" % number for number in range(50)), partition_id="1")
            before = await producer.get_partition_properties("1")
        await first.kill()

    async with running_event_hubs(port=first.port, data_dir=tmp_path) as second:
        assert second.connection_string == first.connection_string
        async with receiving(second.connection_string, partition_id="1") as received:
            await received.count(50)
        async with open_producer(second.connection_string) as producer:
            assert await producer.get_partition_properties("1") == before
        assert await second.stop() == 0

    assert received.bodies() == [b"%d" % number for number in range(50)]
