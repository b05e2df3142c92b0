"""The queue in the ledger's database: who gets which task, and when, on a real PostgreSQL with a clock set by hand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.runtime.clock import SystemClock
from latigo.task_queue.envelope import HIGHEST, encode
from latigo.task_queue.postgres import PostgresDelivery, PostgresReceiver, PostgresSender, ReceiverTiming, open_receiver
from tests.support.build import NOW, a_spec, a_task
from tests.support.ledgers import Ledgers
from tests.support.waiting import eventually

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
#: Nothing happens by the passing of time but what a test means.
PATIENT = ReceiverTiming(poll=HOUR, own=HOUR, expiration=HOUR)
#: Looks again and again.
EAGER = ReceiverTiming(
    poll=timedelta(milliseconds=20), own=timedelta(milliseconds=50), expiration=timedelta(milliseconds=120)
)
WITHIN = 60.0


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


def some_tasks(count: int, first: int = 1) -> list[Task]:
    return [a_task(a_spec(f"pump-{number}"), id=number) for number in range(first, first + count)]


async def send(ledger: Ledgers, *tasks: Task) -> None:
    await PostgresSender(ledger.database).publish(tasks, HIGHEST)


@asynccontextmanager
async def receiving(
    ledger: Ledgers, name: str, timing: ReceiverTiming = PATIENT, concurrency: int = 100
) -> AsyncIterator[tuple[PostgresReceiver, AsyncGenerator[PostgresDelivery]]]:
    async with (
        open_receiver(ledger.database, SystemClock(), name, concurrency, timing) as receiver,
        aclosing(receiver.receive()) as deliveries,
    ):
        yield receiver, deliveries


async def arrivals(deliveries: AsyncGenerator[PostgresDelivery], count: int) -> list[PostgresDelivery]:
    async with asyncio.timeout(WITHIN):
        return [await anext(deliveries) for _ in range(count)]


async def messages(ledger: Ledgers) -> dict[int, str | None]:
    """Who has which task."""
    rows = await ledger.fetch("SELECT task_id, taken_by FROM queued_task ORDER BY task_id")
    return {int(str(row["task_id"])): str(row["taken_by"]) if row["taken_by"] else None for row in rows}


async def receivers(ledger: Ledgers) -> list[str]:
    return [str(row["id"]) for row in await ledger.fetch("SELECT id FROM queue_receiver ORDER BY id")]


async def test_a_notice_wakes_a_receiver_long_before_it_would_look(ledger: Ledgers):
    async with receiving(ledger, "one") as (_, deliveries):
        waiting = asyncio.create_task(arrivals(deliveries, 1))
        await listens(ledger)

        await send(ledger, *some_tasks(1))

        assert [each.task.id for each in await waiting] == [1]


async def listens(ledger: Ledgers) -> None:
    sql = "SELECT count(*) AS number FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"

    async def is_listening() -> bool:
        return bool((await ledger.fetch(sql))[0]["number"])

    await eventually(is_listening, what="a session listens")


async def test_without_a_notice_a_receiver_looks_by_itself(ledger: Ledgers):
    async with receiving(ledger, "one", EAGER) as (_, deliveries):
        waiting = asyncio.create_task(arrivals(deliveries, 1))
        await listens(ledger)
        await put(ledger, 7, taken_by=None)

        assert [each.task.id for each in await waiting] == [7]


async def put(ledger: Ledgers, number: int, *, taken_by: str | None, body: bytes | None = None) -> None:
    """Store a message without a notice."""
    body = encode(some_tasks(1, first=number)[0]) if body is None else body
    sql = "INSERT INTO queued_task (task_id, body, share, sent_at, taken_by) VALUES ($1, $2, $3, ledger_now(), $4)"
    await ledger.fetch(sql, number, body, number, taken_by)


async def test_a_receiver_takes_as_much_ahead_as_its_executor_needs_when_that_changes(ledger: Ledgers):
    await send(ledger, *some_tasks(20))
    async with receiving(ledger, "one", concurrency=1) as (receiver, deliveries):
        first = await arrivals(deliveries, 4)
        receiver.limit(3)
        rest = await arrivals(deliveries, 8)

        assert [each.task.id for each in (*first, *rest)] == list(range(1, 13))
        assert list((await messages(ledger)).values()) == ["one"] * 12 + [None] * 8


async def test_a_receiver_takes_no_more_than_it_can_soon_begin_and_goes_on_when_some_are_done(ledger: Ledgers):
    await send(ledger, *some_tasks(20))
    async with receiving(ledger, "one", concurrency=2) as (_, deliveries):
        first = await arrivals(deliveries, 8)
        assert [name for name in (await messages(ledger)).values() if name] == ["one"] * 8

        for delivery in first:
            await delivery.done()
        assert [each.task.id for each in await arrivals(deliveries, 8)] == list(range(9, 17))

    assert await messages(ledger) == dict.fromkeys(range(9, 21))


async def test_tasks_of_a_model_wait_while_another_receiver_has_one_of_them(ledger: Ledgers):
    run = [a_task(a_spec("pump"), id=number) for number in (1, 2, 3)]
    await send(ledger, *run, *some_tasks(1, first=4))
    await ledger.fetch("INSERT INTO queue_receiver VALUES ('two', ledger_now())")
    await ledger.fetch("UPDATE queued_task SET taken_by = 'two' WHERE task_id = 1")
    await ledger.set_clock(NOW + SECOND)  # they have waited long enough for any receiver

    async with receiving(ledger, "one", replace(EAGER, expiration=HOUR)) as (_, deliveries):
        first = [each.task.id for each in await arrivals(deliveries, 1)]
        await ledger.fetch("DELETE FROM queued_task WHERE task_id = 1")
        rest = [each.task.id for each in await arrivals(deliveries, 2)]

    assert (first, rest) == ([4], [2, 3])


async def test_tasks_of_a_model_wait_for_no_receiver_that_has_stopped_to_show_itself(ledger: Ledgers):
    timing = replace(EAGER, expiration=HOUR)
    await send(ledger, *[a_task(a_spec("pump"), id=number) for number in (1, 2)])
    await ledger.fetch("INSERT INTO queue_receiver VALUES ('frozen', ledger_now())")
    await ledger.fetch("UPDATE queued_task SET taken_by = 'frozen' WHERE task_id = 1")
    await ledger.set_clock(NOW + timing.absent)

    async with receiving(ledger, "one", timing) as (_, deliveries):
        assert [each.task.id for each in await arrivals(deliveries, 1)] == [2]
        assert await messages(ledger) == {1: "frozen", 2: "one"}


async def test_a_model_stays_with_a_receiver_and_is_left_to_others_once_it_has_waited(ledger: Ledgers):
    async with receiving(ledger, "one", EAGER) as (one, first), receiving(ledger, "two", EAGER) as (two, second):
        await eventually(lambda: (one.share, two.share) == ((0, 2), (1, 2)), what="they know of each other")
        await send(ledger, *some_tasks(40))
        own = [[task_id for task_id, share in await shares(ledger) if share % 2 == place] for place in (0, 1)]
        assert all(own)

        taken = [await arrivals(deliveries, len(ids)) for deliveries, ids in zip((first, second), own, strict=True)]
        again = some_tasks(40, first=101)
        await send(ledger, *again)
        await arrivals(first, len(own[0]))
        await ledger.set_clock(NOW + EAGER.own + timedelta(milliseconds=1))
        rest = await arrivals(first, len(own[1]))

    assert [[delivery.task.id for delivery in each] for each in taken] == own
    assert [delivery.task.id - 100 for delivery in rest] == own[1]


async def shares(ledger: Ledgers) -> list[tuple[int, int]]:
    rows = await ledger.fetch("SELECT task_id, share FROM queued_task ORDER BY task_id")
    return [(int(str(row["task_id"])), int(str(row["share"]))) for row in rows]


@pytest.mark.parametrize(("after", "arrive"), [(EAGER.expiration, False), (EAGER.expiration + SECOND, True)])
async def test_what_a_receiver_has_that_is_not_seen_any_more_is_delivered_again(
    ledger: Ledgers, after: timedelta, arrive: bool
):
    await ledger.fetch("INSERT INTO queue_receiver VALUES ('frozen', ledger_now())")
    for number in (1, 2):
        await put(ledger, number, taken_by="frozen")
    async with receiving(ledger, "one", EAGER) as (_, deliveries):
        await ledger.set_clock(NOW + after)
        await put(ledger, 3, taken_by=None)
        found = [each.task.id for each in await arrivals(deliveries, 3 if arrive else 1)]

    assert sorted(found) == ([1, 2, 3] if arrive else [3])
    assert await receivers(ledger) == ([] if arrive else ["frozen"])


async def test_what_a_receiver_has_that_never_showed_itself_is_delivered_again(ledger: Ledgers):
    await put(ledger, 1, taken_by="gone")

    async with receiving(ledger, "one", EAGER) as (_, deliveries):
        assert [each.task.id for each in await arrivals(deliveries, 1)] == [1]


async def test_the_end_of_a_receiver_that_lost_a_task_deletes_nothing_of_who_has_it_now(ledger: Ledgers):
    await send(ledger, *some_tasks(1))
    async with receiving(ledger, "one") as (_, first):
        (delivery,) = await arrivals(first, 1)
        await ledger.fetch("INSERT INTO queue_receiver VALUES ('two', ledger_now())")
        await ledger.fetch("UPDATE queued_task SET taken_by = 'two'")

        await delivery.done()

    assert await messages(ledger) == {1: "two"}


async def test_a_task_that_is_sent_again_has_one_message_and_comes_once_more(ledger: Ledgers):
    await send(ledger, *some_tasks(2))
    async with receiving(ledger, "one") as (_, deliveries):
        await arrivals(deliveries, 2)
        await send(ledger, *some_tasks(1))

        assert [each.task.id for each in await arrivals(deliveries, 1)] == [1]
        assert await messages(ledger) == {1: "one", 2: "one"}


@pytest.mark.parametrize(
    ("body", "reason"), [(b"{}", "unreadable"), (b"\xff", "unreadable"), (b'{"v": 99, "id": 5}', "too_new")]
)
async def test_a_message_that_cannot_be_read_is_recorded_and_passed_over(ledger: Ledgers, body: bytes, reason: str):
    await put(ledger, 5, taken_by=None, body=body)
    await put(ledger, 6, taken_by=None)

    async with receiving(ledger, "one") as (_, deliveries):
        assert [each.task.id for each in await arrivals(deliveries, 1)] == [6]
        await eventually(lambda: has_only(ledger, 6), what="the message is deleted")

    recorded = await ledger.fetch("SELECT channel, task_id, reason FROM queue_refused")
    assert [tuple(row.values()) for row in recorded] == [("postgres", 5, reason)]


async def has_only(ledger: Ledgers, number: int) -> bool:
    return set(await messages(ledger)) == {number}


async def test_the_queue_goes_on_after_its_database_was_unavailable(ledger: Ledgers):
    async with receiving(ledger, "one", EAGER) as (_, deliveries):
        waiting = asyncio.create_task(arrivals(deliveries, 2))
        await listens(ledger)
        await ledger.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await put_again(ledger)

        first, second = await waiting
        await first.done()
        await second.done()

    assert await messages(ledger) == {}


async def put_again(ledger: Ledgers) -> None:
    """Send two tasks, however many connections of the pool have ended."""
    while True:
        try:
            await send(ledger, *some_tasks(2))
        except Unavailable:
            continue
        return
