"""The Event Hubs queue with the official client, against the emulator and a real PostgreSQL."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import orjson
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage
from structlog.contextvars import bind_contextvars, merge_contextvars
from structlog.testing import capture_logs

from latigo.domain.errors import Unavailable
from latigo.runtime.azure import SharedCredential
from latigo.runtime.clock import SystemClock
from latigo.sandbox.eventhub import EventHubsEmulator, RejectStyle, Scope
from latigo.settings import EventHubQueue
from latigo.task_queue.envelope import HIGHEST, LARGEST, decode, encode
from latigo.task_queue.eventhub.connection import Hub
from latigo.task_queue.eventhub.consumer import HubDelivery
from latigo.task_queue.eventhub.partitions import partition_of
from latigo.task_queue.eventhub.receiver import EventHubReceiver
from latigo.task_queue.eventhub.session import Bounds
from latigo.task_queue.eventhub.store import QueueStore, Refusal
from tests.support.build import a_spec, a_task
from tests.support.certificates import self_signed
from tests.support.event_hub_queue import (
    HUB,
    QUICK,
    QUICK_SENDER,
    HubQueue,
    hub_section,
    nothing_left,
    open_hub_queue,
    publish,
    seconds,
    secret_of,
    some_tasks,
    working,
)
from tests.support.event_hubs import FreezingProxy, open_freezing_proxy, open_producer
from tests.support.postgres import fresh_database
from tests.support.waiting import eventually

T = TypeVar("T")

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the client's, when it is cut short


@pytest.fixture
async def queue(ledger_url: str) -> AsyncIterator[HubQueue]:
    async with nothing_left(), open_hub_queue(ledger_url) as opened:
        yield opened


# --- sending ---------------------------------------------------------------------------------------------------------


async def test_a_task_goes_to_the_partition_of_its_model_and_the_sender_returns_which(queue: HubQueue):
    tasks = [replace(task, id=task.id * 10 + again) for task in some_tasks(20) for again in range(2)]

    async with queue.sender() as sender:
        places = await sender.publish(tasks, HIGHEST)

    partitions = queue.emulator.hub(HUB).partitions
    result = {decode(event.body).id: partition.id for partition in partitions for event in partition.events}
    assert result == {task.id: str(partition_of(task.ref, 2)) for task in tasks}
    assert places == {task_id: f"{queue.section.address.channel}#{partition}" for task_id, partition in result.items()}
    assert queue.emulator.controls.counts["sends"] == 2, "one batch a partition"


async def test_more_than_a_batch_holds_goes_out_in_several(queue: HubQueue):
    tags = tuple(f"{number:0200}" for number in range(400))
    tasks = [a_task(a_spec("wide", tags=tags), id=number) for number in range(1, 13)]

    async with queue.sender() as sender:
        places = await sender.publish(tasks, HIGHEST)

    assert [decode(event.body).id for event in queue.emulator.hub(HUB).events] == list(range(1, 13))
    assert set(places) == set(range(1, 13))
    assert queue.emulator.controls.counts["sends"] > 1


async def test_a_task_that_is_too_large_is_recorded_and_named_once_and_the_others_go(queue: HubQueue):
    huge = a_task(a_spec("huge", tags=tuple(f"{number:0900}" for number in range(400))), id=99)
    assert len(encode(huge)) > LARGEST

    with capture_logs() as logs:
        async with queue.sender() as sender:
            places = [await sender.publish([huge, *some_tasks(3)], HIGHEST) for _ in range(2)]

    assert [set(each) for each in places] == [{1, 2, 3}] * 2
    assert [(each.task_id, each.reason, each.sequence) for each in await queue.refused()] == [
        (99, Refusal.TOO_LARGE, None)
    ]
    assert [(log["task"], log["model"]) for log in logs if log["event"] == "task.too_large"] == [(99, "plant/huge")]


async def test_a_hub_that_is_busy_for_a_moment_gets_its_tasks_with_the_next_attempt(queue: HubQueue):
    tasks = some_tasks(4)

    async with queue.sender() as sender:
        with queue.emulator.controls.reject_sends(times=4) as busy:  # two partitions, tried twice by the library
            with pytest.raises(Unavailable):
                await sender.publish(tasks, HIGHEST)
            places = await publish(sender, tasks)

    assert busy.met == 4
    assert set(places) == {1, 2, 3, 4}
    assert {decode(event.body).id for event in queue.emulator.hub(HUB).events} == {1, 2, 3, 4}


async def test_after_a_failure_the_hub_is_not_called_for_a_while_and_no_caller_waits(queue: HubQueue):
    tasks = some_tasks(4)

    async with queue.sender(replace(QUICK_SENDER, first_pause=seconds(60), longest_pause=seconds(60))) as sender:
        with queue.emulator.controls.reject_sends(), pytest.raises(Unavailable):
            await sender.publish(tasks, HIGHEST)
        again = [await sender.publish(tasks, HIGHEST) for _ in range(3)]

    assert again == [{}, {}, {}]
    assert queue.emulator.hub(HUB).events == []


async def test_what_some_partitions_took_is_reported_when_others_fail(queue: HubQueue):
    tasks = some_tasks(6)
    wanted = {task.id for task in tasks if partition_of(task.ref, 2) == 1}

    async with queue.sender() as sender:
        with queue.emulator.controls.reject_sends(scope=Scope(partition="0")):
            places = await sender.publish(tasks, HIGHEST)
        rest = await publish(sender, [task for task in tasks if task.id not in places])

    assert set(places) == wanted
    assert set(rest) == {task.id for task in tasks} - wanted


async def test_a_hub_in_trouble_is_reported_unavailable_in_time_and_gets_its_tasks_afterwards(
    postgres_server: str, ledger_template: str
):
    async def stops_listening(queue: HubQueue) -> Callable[[], Awaitable[None]]:
        await queue.emulator.stop_listening()
        return queue.emulator.listen

    async def never_answers(queue: HubQueue) -> Callable[[], Awaitable[None]]:
        trouble = queue.emulator.controls.stop_answering()
        return as_coroutine(trouble.lift)

    async def never_confirms(queue: HubQueue) -> Callable[[], Awaitable[None]]:
        trouble = queue.emulator.controls.withhold_acknowledgements()
        return as_coroutine(trouble.lift)

    async def refuses_the_key(queue: HubQueue) -> Callable[[], Awaitable[None]]:
        keys = queue.emulator.namespace.keys
        good = keys.key
        keys.rotate()
        queue.emulator.controls.expire_tokens()
        return as_coroutine(lambda: setattr(keys, "key", good))

    async def refuses_links(queue: HubQueue) -> Callable[[], Awaitable[None]]:
        queue.emulator.controls.abort_connections()
        trouble = queue.emulator.controls.refuse_links()
        return as_coroutine(trouble.lift)

    async def goes_through(trouble: Callable[[HubQueue], Awaitable[Callable[[], Awaitable[None]]]]) -> bool:
        async with (
            fresh_database(postgres_server, template=ledger_template) as url,
            open_hub_queue(url) as queue,
            queue.sender(patient if trouble in refusals else impatient) as sender,
        ):
            before, after = some_tasks(4), some_tasks(4, first=11)
            await publish(sender, before)

            lift = await trouble(queue)
            with pytest.raises(Unavailable) as refused:
                async with asyncio.timeout(120):
                    await sender.publish(after, HIGHEST)

            await lift()
            await publish(sender, after)
            stored = {decode(event.body).id for event in queue.emulator.hub(HUB).events}
            assert stored == {task.id for task in (*before, *after)}
            return refused.value.alarm

    patient = replace(QUICK_SENDER, confirm_timeout=seconds(1))
    impatient = replace(patient, call_timeout=seconds(3))
    refusals = (refuses_the_key, refuses_links)  # which say so
    troubles = (stops_listening, never_answers, never_confirms, *refusals)
    alarms = await together({trouble.__name__: goes_through(trouble) for trouble in troubles})

    assert [name for name, alarm in alarms.items() if alarm] == ["refuses_the_key", "refuses_links"]


# --- getting there ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl=None is deprecated")  # the client's own, without TLS
async def test_tasks_pass_over_websockets(ledger_url: str):
    async with nothing_left(), open_hub_queue(ledger_url, websocket=True) as direct:
        endpoint = f"127.0.0.1:{direct.emulator.websocket_port}"
        section = hub_section(secret_of(direct.section), transport="websocket", custom_endpoint=endpoint)
        queue = replace(direct, section=section)
        tasks = some_tasks(4)
        async with queue.sender() as sender, queue.receiver() as receiver, working(receiver) as worker:
            await publish(sender, tasks)
            await worker.sees(tasks)

    assert direct.emulator.controls.counts["events_out"] == 4


async def test_tasks_pass_over_tls_with_an_authority_of_our_own(ledger_url: str, tmp_path: Path):
    result = self_signed(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(result.certificate, result.key)
    async with nothing_left(), open_hub_queue(ledger_url, ssl_context=server) as direct:
        section = hub_section(
            secret_of(direct.section).replace(";UseDevelopmentEmulator=true", ""),
            custom_endpoint=f"127.0.0.1:{direct.emulator.port}",
            ca_file=result.certificate,
        )
        queue, tasks = replace(direct, section=section), some_tasks(3)
        async with queue.sender() as sender, queue.receiver() as receiver, working(receiver) as worker:
            await publish(sender, tasks)
            await worker.sees(tasks)

    assert direct.emulator.controls.counts["events_out"] == 3


class Login:
    """An identity that some directory vouches for."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("of the directory", int(time.time()) + 3600)


async def test_an_identity_without_a_key_logs_in_with_its_token(ledger_url: str):
    async with nothing_left(), open_hub_queue(ledger_url, bearer_tokens=["of the directory"]) as queue:
        section = EventHubQueue(namespace=f"127.0.0.1:{queue.emulator.port}", hub=HUB)
        hub = Hub(section, SharedCredential(Login, SystemClock()), SystemClock(), tls=False)
        client = hub.producer()

        result = await hub.partition_ids(client, seconds(60))
        await hub.close(client)

    assert list(result) == ["0", "1"]


class Refused:
    """An identity that no directory vouches for."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        raise ClientAuthenticationError("AADSTS7000215: invalid client secret")


async def test_a_refused_login_is_reported_with_its_cause(ledger_url: str):
    async with nothing_left(), open_hub_queue(ledger_url) as queue:
        section = EventHubQueue(namespace=f"127.0.0.1:{queue.emulator.port}", hub=HUB)
        hub = Hub(section, SharedCredential(Refused, SystemClock()), SystemClock(), tls=False)
        bounds, patient = Bounds(prefetch=8, behind=100, events=100), replace(QUICK, unreachable_after=seconds(60))
        receiver = EventHubReceiver(hub, QueueStore(queue.pool, hub.channel, section.consumer_group), bounds, patient)
        with capture_logs() as logs:
            running = asyncio.create_task(receiver.run())
            async with working(receiver):
                # After all attempts of the library, which take it a dozen seconds.
                await eventually(lambda: "queue.balancing_failed" in {log["event"] for log in logs})
            receiver.close()
            await running

    failed = next(log for log in logs if log["event"] == "queue.balancing_failed")
    assert failed["log_level"] == "error"
    assert "AADSTS7000215" in failed["error"]


# --- receiving -------------------------------------------------------------------------------------------------------


async def test_what_is_done_is_checkpointed_and_the_lag_is_known(queue: HubQueue):
    async with queue.sender() as sender, queue.receiver() as receiver:
        tasks = some_tasks(30)
        await publish(sender, tasks)
        await eventually(lambda: has_lag(queue, 30), what="the lag is seen")

        async with working(receiver) as worker:
            await worker.sees(tasks)
            await eventually(lambda: is_worked_off(queue), what="all is checkpointed")

        published = await queue.pool.fetchval("SELECT ledger_now()")
        await eventually(lambda: is_drained(queue, published), what="the partitions are known to be drained")
        assert await has_lag(queue, 0)


async def test_only_as_much_is_handed_out_as_is_taken(queue: HubQueue):
    async with queue.receiver(concurrency=5) as receiver:
        queue.put_tasks(some_tasks(200))

        async with aclosing(receiver.receive()) as deliveries:
            taken = [await anext(deliveries) for _ in range(3)]
            await asyncio.sleep(0)

            sent = queue.emulator.controls.counts["events_out"]
            assert len({each.task.id for each in taken}) == 3
            assert sent <= 2 * (5 + 5), "two partitions fetch ahead no more than their limit"


async def test_one_task_that_takes_long_holds_up_the_checkpoint_and_nothing_else(queue: HubQueue):
    async with queue.receiver() as receiver:
        model = a_spec("pump")
        tasks = [a_task(model, id=number) for number in range(1, 21)]
        queue.put_tasks(tasks)

        async with aclosing(receiver.receive()) as deliveries:
            taken = [await anext(deliveries) for _ in tasks]
            for delivery in taken[:4] + taken[5:]:
                await delivery.done()
            (partition,) = queue.ends()
            await eventually(lambda: checkpoint_is(queue, partition, 3), what="what is before it is checkpointed")

            await taken[4].done()
            await eventually(lambda: checkpoint_is(queue, partition, 19), what="all is checkpointed")


async def test_behind_a_task_that_takes_long_only_so_many_are_begun(queue: HubQueue):
    async with queue.receiver(max_behind=6) as receiver:
        queue.put_tasks([a_task(id=number) for number in range(1, 21)])

        async with aclosing(receiver.receive()) as deliveries:
            first, *others = [await anext(deliveries) for _ in range(6)]
            for delivery in others:
                await delivery.done()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(deliveries)

        async with working(receiver) as worker:
            await first.done()
            await worker.sees([a_task(id=number) for number in range(7, 21)])


async def test_what_the_hub_repeats_after_a_broken_connection_is_not_handed_out_again(queue: HubQueue):
    first, second, third = (a_task(id=number) for number in (1, 2, 3))
    controls = queue.emulator.controls
    with capture_logs() as logs:
        async with queue.receiver() as receiver, aclosing(receiver.receive()) as deliveries:
            queue.put_tasks([first])
            await (await anext(deliveries)).done()
            queue.put_tasks([second, third])
            await controls.counted("events_out", 3)  # one waits in the receiver, one in the client

            controls.detach_receivers("amqp:link:detach-forced")
            await controls.counted("events_out", 4)

            handed_out = [(await anext(deliveries)).task.id for _ in range(2)]
            assert handed_out == [2, 3]
            assert await nothing_more(deliveries)
    assert "queue.partition_failed" not in {log["event"] for log in logs}


async def test_messages_that_are_no_tasks_are_recorded_once_and_passed_over(queue: HubQueue):
    newer = orjson.dumps({**orjson.loads(encode(a_task(id=77))), "v": 99})
    async with queue.receiver() as receiver:
        for body in (b"not JSON", b"[" * 100_000, b"x" * (LARGEST + 1), newer, b""):
            queue.put(body)
        async with open_producer(queue.emulator, HUB) as producer:
            await producer.send_event(AmqpAnnotatedMessage(value_body={"a": [1]}), partition_id="0")
            await producer.send_event(EventData("text"), partition_id="0")
        tasks = some_tasks(10)
        queue.put_tasks(tasks)

        async with working(receiver) as worker:
            await worker.sees(tasks)
            await eventually(lambda: is_worked_off(queue), what="the checkpoint has passed them")

        refused = {each.sequence: each for each in await queue.refused()}
        assert set(refused) == set(range(7))
        assert {each.partition for each in refused.values()} == {"0"}
        assert (refused[3].reason, refused[3].task_id) == (Refusal.TOO_NEW, 77)
        assert {refused[number].reason for number in (0, 1, 2, 4, 5, 6)} == {Refusal.UNREADABLE}
        assert receiver.refused == 7
        assert set(worker.seen) == {task.id for task in tasks}

        await queue.reset()  # so that they all come once more
        async with queue.receiver() as again, working(again) as second:
            await second.sees(tasks)
        assert len(await queue.refused()) == 7
        assert again.refused == 0


async def test_a_message_is_not_passed_over_before_it_could_be_recorded(queue: HubQueue):
    queue.put(b"not JSON")
    await queue.pool.execute("ALTER TABLE queue_refused RENAME TO hidden")

    with capture_logs() as logs:
        async with queue.receiver() as receiver, working(receiver):
            await eventually(lambda: "message.recording_delayed" in {log["event"] for log in logs})
            assert await queue.checkpoints() == {}

            await queue.pool.execute("ALTER TABLE hidden RENAME TO queue_refused")
            await eventually(lambda: is_worked_off(queue))

    assert [each.sequence for each in await queue.refused()] == [0]


# --- whose partition it is -------------------------------------------------------------------------------------------


async def test_leaving_checkpoints_what_is_done_and_gives_everything_else_to_others(queue: HubQueue):
    tasks = some_tasks(10)
    queue.put_tasks(tasks)
    async with queue.receiver(flush_interval=seconds(60)) as receiver, aclosing(receiver.receive()) as deliveries:
        taken = [await anext(deliveries) for _ in range(6)]
        done = {each.task.id for each in taken[:4]}
        for delivery in taken[:4]:
            await delivery.done()

    assert set((await queue.owners()).values()) == {""}
    passed = sum(sequence + 1 for sequence in (await queue.checkpoints()).values())
    async with queue.receiver() as other, working(other) as worker:
        await worker.sees([task for task in tasks if task.id not in done])
        await eventually(lambda: is_worked_off(queue))

    assert passed >= 1, "what was done before anything undone is checkpointed"
    assert len(worker.seen) == 10 - passed


async def test_when_receiving_stops_the_partitions_go_to_others_at_once(queue: HubQueue):
    queue.put_tasks(some_tasks(10))
    async with queue.receiver(flush_interval=seconds(60)) as receiver, aclosing(receiver.receive()) as deliveries:
        for _ in range(6):
            await (await anext(deliveries)).done()

        await deliveries.aclose()
        await eventually(lambda: receiver.state == "idle", what="it lets go of them")

        assert set((await queue.owners()).values()) == {""}
        assert sum(sequence + 1 for sequence in (await queue.checkpoints()).values()) == 6


async def test_a_client_that_lets_go_late_takes_nothing_from_the_one_after_it(queue: HubQueue):
    before, after = some_tasks(10), some_tasks(10, first=101)

    def count(event: str) -> int:
        return sum(log["event"] == event for log in logs)

    with capture_logs() as logs:
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(
                queue.receiver(flush_interval=seconds(60), close_timeout=seconds(3))
            )
            async with queue.pool.acquire() as connection, connection.transaction():
                async with working(receiver) as worker:
                    queue.put_tasks(before)
                    await worker.sees(before)
                    await connection.execute("LOCK TABLE queue_checkpoint IN SHARE ROW EXCLUSIVE MODE")
                # Now its last checkpoints wait for the lock, and with them its close.
                second = await stack.enter_async_context(working(receiver))
                await eventually(lambda: count("queue.partition_acquired") >= 4, what="the next one has them")
                assert count("queue.partition_closed") == 0
            await eventually(lambda: count("queue.partition_closed") >= 2, what="the first one lets go")

            queue.put_tasks(after)
            await second.sees(after)


async def test_a_client_that_has_received_enough_is_replaced_and_nothing_is_missed(queue: HubQueue):
    first, second = some_tasks(30), some_tasks(30, first=101)
    with capture_logs() as logs:
        async with queue.receiver(max_events=20) as receiver, working(receiver) as worker:
            queue.put_tasks(first)
            await worker.sees(first)
            await eventually(lambda: "queue.client_renewed" in {log["event"] for log in logs}, what="it is replaced")
            queue.put_tasks(second)
            await worker.sees(second)
            await eventually(lambda: is_worked_off(queue))


async def test_a_partition_that_the_balancer_takes_away_goes_on_at_the_new_owner_only(queue: HubQueue):
    tasks = some_tasks(40)
    async with queue.receiver() as first, queue.receiver() as second:
        queue.put_tasks(tasks)
        async with aclosing(first.receive()) as deliveries:
            held = [await anext(deliveries) for _ in range(4)]
            await eventually(lambda: len(first.partitions) == 2)

            async with working(second) as worker:
                await eventually(lambda: second.partitions and len(first.partitions) == 1, what="it is stolen")
                (stolen,) = second.partitions
                theirs = [task for task in tasks if str(partition_of(task.ref, 2)) == stolen]
                await worker.sees(theirs)
                for delivery in held:
                    await delivery.done()
                rest = {task.id for task in tasks} - {task.id for task in theirs} - {each.task.id for each in held}
                late = set()
                for _ in rest:
                    delivery = await anext(deliveries)
                    late.add(delivery.task.id)
                    await delivery.done()
                assert late == rest
                await eventually(lambda: is_worked_off(queue))


async def test_a_partition_whose_link_is_stolen_under_a_handler_goes_on_at_the_new_owner_only(queue: HubQueue):
    looks_late = {"balance": seconds(60), "expiration": seconds(120)}
    steals = {"balance": seconds(0.5), "expiration": seconds(120)}
    tasks = [next(task for task in some_tasks(40) if partition_of(task.ref, 2) == number) for number in (0, 1)]
    async with (
        queue.receiver(balancing=looks_late) as first,
        queue.receiver(balancing=steals) as second,
        aclosing(first.receive()) as deliveries,
    ):
        queue.put_tasks([a_task(id=1000)])
        await (await anext(deliveries)).done()
        queue.put_tasks(tasks)
        await queue.emulator.controls.counted("events_out", 3)

        async with working(second) as worker:
            await eventually(lambda: len(first.partitions) == 1, what="it notices that a link is stolen")
            (kept,) = first.partitions
            await worker.sees([tasks[1 - int(kept)]])

            assert (await anext(deliveries)).task.id == tasks[int(kept)].id
            assert await nothing_more(deliveries)


async def test_what_was_held_when_a_partition_was_lost_is_handed_out_when_it_comes_back(queue: HubQueue):
    tasks = [next(task for task in some_tasks(40) if partition_of(task.ref, 2) == number) for number in (0, 1)]
    async with queue.receiver() as receiver, aclosing(receiver.receive()) as deliveries:
        queue.put_tasks([a_task(id=1000)])
        running = await anext(deliveries)
        queue.put_tasks(tasks)
        await queue.emulator.controls.counted("events_out", 3)

        give = "UPDATE queue_ownership SET owner_id = $2, etag = etag + 1 WHERE partition = $1"
        lost = str(partition_of(running.task.ref, 2))
        await queue.pool.execute(give, lost, "another")
        await eventually(lambda: len(receiver.partitions) == 1, what="it has lost one")
        await queue.pool.execute(give, lost, "")

        async with asyncio.timeout(120):
            handed_out = [await anext(deliveries) for _ in tasks]
        assert {each.task.id for each in handed_out} == {task.id for task in tasks}, "what still runs is not among them"
        for delivery in (running, *handed_out):
            await delivery.done()
        await eventually(lambda: is_worked_off(queue))


async def test_two_share_the_partitions_and_when_one_is_killed_the_other_goes_on_with_its_tasks(queue: HubQueue):
    async with queue.receiver() as other, working(other) as worker:
        async with queue.receiver_process() as process:
            await eventually(lambda: len(other.partitions) == 1, what="they share")
            tasks = some_tasks(40)
            queue.put_tasks(tasks)
            mine = [task for task in tasks if str(partition_of(task.ref, 2)) in other.partitions]
            await worker.sees(mine)
            assert len(set(worker.seen)) < 40

            process.kill()
        await worker.sees(tasks)
        await eventually(lambda: is_worked_off(queue))


# --- what the client library does not notice -------------------------------------------------------------------------


@dataclass
class Rig:
    """A receiver behind a proxy that can lose packets."""

    queue: HubQueue
    proxy: FreezingProxy
    receiver: EventHubReceiver

    @property
    def emulator(self) -> EventHubsEmulator:
        return self.queue.emulator


async def resets(rig: Rig) -> None:
    rig.emulator.controls.abort_connections()


async def breaks_more_often_than_the_client_bears(rig: Rig) -> None:
    controls = rig.emulator.controls
    for _ in range(5):
        attached = controls.counts["receivers"]
        controls.detach_receivers("amqp:link:detach-forced")
        await controls.counted("receivers", attached + 2)


async def refuses_connections(rig: Rig) -> None:
    async with rig.emulator.outage():
        await eventually(lambda: rig.receiver.state == "unreachable")


async def never_answers(rig: Rig) -> None:
    with rig.emulator.controls.stop_answering():
        await eventually(lambda: rig.receiver.state == "unreachable")
        assert rig.receiver.partitions == []
        owners = await rig.queue.owners()
        assert set(owners.values()) == {""}, "somebody with a better network may have them"


async def loses_everything_in_silence(rig: Rig) -> None:
    rig.proxy.freeze()


async def refuses_tokens(rig: Rig) -> None:
    keys = rig.emulator.namespace.keys
    good = keys.key
    keys.rotate()
    rig.emulator.controls.expire_tokens()
    await eventually(lambda: rig.receiver.state == "unreachable")
    keys.key = good


async def refuses_links_as_the_service_does(rig: Rig) -> None:
    with rig.emulator.controls.refuse_links() as trouble:
        rig.emulator.controls.detach_receivers("amqp:link:detach-forced")
        rig.queue.put(encode(a_task(id=500)))
        await trouble.reached()
        await eventually(lambda: not rig.receiver.partitions, what="the client is given up")


async def hangs_in_the_first_question_of_a_client(rig: Rig) -> None:
    controls = rig.emulator.controls
    with controls.refuse_links():
        controls.detach_receivers("amqp:link:detach-forced")
        rig.queue.put(encode(a_task(id=500)))
        await eventually(lambda: not rig.receiver.partitions, what="the client is given up")
    with controls.stop_answering(existing=False) as trouble:
        await trouble.reached()


async def refuses_links_otherwise(rig: Rig) -> None:
    rig.emulator.controls.reject_style = RejectStyle.ATTACHED
    with rig.emulator.controls.refuse_links() as trouble:
        rig.emulator.controls.detach_receivers("amqp:link:detach-forced")
        await eventually(lambda: trouble.met > 4)


TROUBLES = (
    resets,
    breaks_more_often_than_the_client_bears,
    refuses_connections,
    never_answers,
    loses_everything_in_silence,
    refuses_tokens,
    refuses_links_as_the_service_does,
    refuses_links_otherwise,
    hangs_in_the_first_question_of_a_client,
)


async def test_whatever_happens_to_the_hub_the_receiver_goes_on_by_itself_afterwards(
    postgres_server: str, ledger_template: str
):
    async def goes_on_after(trouble: Callable[[Rig], Awaitable[None]]) -> None:
        bind_contextvars(trouble=trouble.__name__)  # of this case alone, which is a task
        async with AsyncExitStack() as opened:
            url = await opened.enter_async_context(fresh_database(postgres_server, template=ledger_template))
            direct = await opened.enter_async_context(open_hub_queue(url))
            proxy = await opened.enter_async_context(open_freezing_proxy(direct.emulator.port))
            port = proxy.port if trouble is loses_everything_in_silence else direct.emulator.port
            through = direct.emulator.connection_string(HUB, port=port)
            queue = replace(direct, section=hub_section(through))
            receiver = await opened.enter_async_context(
                queue.receiver(poll_timeout=seconds(4), unreachable_after=seconds(4), stuck_after=seconds(4))
            )
            worker = await opened.enter_async_context(working(receiver))
            before, after = some_tasks(10), some_tasks(10, first=101)
            queue.put_tasks(before)
            await worker.sees(before)

            await trouble(Rig(queue, proxy, receiver))

            queue.put_tasks(after)
            await worker.sees(after)
            await eventually(lambda: is_worked_off(queue))

    with capture_logs([merge_contextvars]) as logs:
        await together({trouble.__name__: goes_on_after(trouble) for trouble in TROUBLES})

    in_silence = {log["trouble"] for log in logs if log["event"] == "queue.client_replaced" and log["partitions"]}
    assert refuses_links_as_the_service_does.__name__ in in_silence, "the client notices nothing"


async def test_a_hub_that_was_made_anew_is_an_alarm_until_its_checkpoints_are_reset(queue: HubQueue):
    old, new = some_tasks(20), some_tasks(4, first=101)
    async with queue.sender() as sender, queue.receiver() as receiver, working(receiver) as worker:
        await publish(sender, old)
        await worker.sees(old)
        await eventually(lambda: is_worked_off(queue))

        queue.emulator.namespace.recreate_hub(HUB)
        await publish(sender, new)
        await eventually(lambda: receiver.state == "recreated", what="the receiver notices")
        await eventually(lambda: tells_recreated(queue), what="the scheduler notices")
        assert not set(worker.seen) & {task.id for task in new}

        assert await queue.reset() == 2
        await worker.sees(new)
        await eventually(lambda: is_worked_off(queue))
        assert not await tells_recreated(queue)


# --- contracts of queue and tests -------------------------------------------------------------------------------------


async def nothing_more(deliveries: AsyncIterator[HubDelivery]) -> bool:
    """Whether nothing comes for a while; afterwards nothing can be taken any more."""
    try:
        async with asyncio.timeout(0.3):
            await anext(deliveries)
    except TimeoutError:
        return True
    return False


async def has_lag(queue: HubQueue, events: int) -> bool:
    partitions = await queue.lag()
    return len(partitions) == 2 and sum(each.lag for each in partitions) == events


async def is_drained(queue: HubQueue, to: datetime) -> bool:
    partitions = await queue.lag()
    return len(partitions) == 2 and all(each.drained_to and each.drained_to >= to for each in partitions)


async def tells_recreated(queue: HubQueue) -> bool:
    return any(each.hub_recreated for each in await queue.lag())


async def is_worked_off(queue: HubQueue) -> bool:
    return bool(queue.ends()) and await queue.checkpoints() == queue.ends()


async def checkpoint_is(queue: HubQueue, partition: str, sequence: int) -> bool:
    return (await queue.checkpoints()).get(partition) == sequence


def as_coroutine(call: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def called() -> None:
        call()

    return called


async def together(cases: dict[str, Awaitable[T]]) -> dict[str, T]:
    """All cases at once, since they do little but wait; fails when one does, and says which."""
    async with nothing_left():
        ended = await asyncio.gather(*cases.values(), return_exceptions=True)
    answers: dict[str, T] = {}
    failures: dict[str, BaseException] = {}
    for name, answer in zip(cases, ended, strict=True):
        if isinstance(answer, BaseException):
            failures[name] = answer
        else:
            answers[name] = answer
    if failures:
        raise AssertionError(f"failed: {failures}") from next(iter(failures.values()))
    return answers
