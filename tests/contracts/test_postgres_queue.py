"""The queue in the ledger's database: who gets which task, and when, on a real PostgreSQL with a clock set by hand."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from latigo.domain.errors import Unavailable
from latigo.domain.lane_share import LaneShare
from latigo.domain.task import Lane, Task
from latigo.executor.gate import Gate
from latigo.runtime.clock import SystemClock
from latigo.task_queue.ahead import LIVE_AHEAD, OTHERS_AHEAD
from latigo.task_queue.envelope import HIGHEST, encode
from latigo.task_queue.postgres import PostgresDelivery, PostgresReceiver, PostgresSender, ReceiverTiming, open_receiver
from tests.support.build import NOW, a_spec, a_task
from tests.support.ledgers import Ledgers
from tests.support.postgres import database_on, execute
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
        first = await arrivals(deliveries, LIVE_AHEAD)
        receiver.limit(3)
        rest = await arrivals(deliveries, 2 * LIVE_AHEAD)

        most = 3 * LIVE_AHEAD
        assert [each.task.id for each in (*first, *rest)] == list(range(1, most + 1))
        assert list((await messages(ledger)).values()) == ["one"] * most + [None] * (20 - most)


async def test_a_receiver_takes_no_more_than_it_can_soon_begin_and_goes_on_when_some_are_done(ledger: Ledgers):
    await send(ledger, *some_tasks(20))
    async with receiving(ledger, "one", concurrency=2) as (_, deliveries):
        most = 2 * LIVE_AHEAD
        first = await arrivals(deliveries, most)
        assert [name for name in (await messages(ledger)).values() if name] == ["one"] * most

        for delivery in first:
            await delivery.done()
        assert [each.task.id for each in await arrivals(deliveries, most)] == list(range(most + 1, 2 * most + 1))

    assert await messages(ledger) == dict.fromkeys(range(most + 1, 21))


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


async def test_a_receiver_that_takes_none_has_no_share_and_keeps_what_it_has(ledger: Ledgers):
    async with receiving(ledger, "one", EAGER) as (one, first), receiving(ledger, "two", EAGER) as (two, second):
        await eventually(lambda: (one.share, two.share) == ((0, 2), (1, 2)), what="they know of each other")
        await send(ledger, *some_tasks(40))
        own = [task_id for task_id, share in await shares(ledger) if share % 2]
        await arrivals(first, 40 - len(own))
        await arrivals(second, len(own))

        two.limit(0)
        await eventually(lambda: one.share == (0, 1), what="it shares with no other receiver")
        await send(ledger, *some_tasks(40, first=101))
        rest = [each.task.id for each in await arrivals(first, 40)]
        kept = [task_id for task_id, name in (await messages(ledger)).items() if name == "two"]
        goes_back = (one.takes_back, two.takes_back)
        two.limit(100)
        await eventually(lambda: one.share == (0, 2), what="it shares with one that takes tasks again")

    assert (rest, kept, goes_back) == (list(range(101, 141)), own, (False, True))


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


# --- lanes ------------------------------------------------------------------------------------------------------------


def tasks_of(lane: Lane, count: int, first: int, project: str = "plant") -> list[Task]:
    numbers = range(first, first + count)
    return [a_task(a_spec(f"pump-{number}", project=project), id=number, lane=lane) for number in numbers]


async def test_live_tasks_overtake_hundreds_of_others_that_were_sent_and_taken_before_them(ledger: Ledgers):
    await send(ledger, *tasks_of(Lane.BACKFILL, 600, first=1))
    async with receiving(ledger, "one", concurrency=4) as (_, deliveries):
        before = await arrivals(deliveries, 4 * OTHERS_AHEAD)
        live = asyncio.create_task(arrivals(deliveries, 4 * LIVE_AHEAD))
        await listens(ledger)
        await send(ledger, *tasks_of(Lane.LIVE, 30, first=1001))

        arrived = await live
        await arrived[0].done()
        await before[0].done()
        after = await arrivals(deliveries, 2)

    assert {each.task.lane for each in before} == {Lane.BACKFILL}
    assert [each.task.id for each in arrived] == list(range(1001, 1001 + 4 * LIVE_AHEAD))
    assert {each.task.lane for each in after} == {Lane.LIVE, Lane.BACKFILL}


@pytest.mark.parametrize(("share", "others"), [(0.05, 5), (0.25, 25)])
async def test_the_other_lanes_have_their_share_of_the_starts_while_live_tasks_never_end(
    ledger: Ledgers, share: float, others: int
):
    await send(ledger, *tasks_of(Lane.BACKFILL, 300, first=1))
    await send(ledger, *tasks_of(Lane.LIVE, 300, first=1001))
    gate = Gate(2, LaneShare(share))

    async def fill(deliveries: AsyncGenerator[PostgresDelivery]) -> None:
        async for delivery in deliveries:
            await gate.offer(delivery)

    async with receiving(ledger, "one", concurrency=2) as (_, deliveries):
        filling = asyncio.create_task(fill(deliveries))
        started: list[Lane] = []
        while len(started) < 100:
            await eventually(lambda: both_wait(gate), what="a task of each kind waits")
            delivery = await gate.next()
            started.append(delivery.task.lane)
            await delivery.done()
            await gate.ended(delivery)
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)

    assert Counter(started) == {Lane.LIVE: 100 - others, Lane.BACKFILL: others}


def both_wait(gate: Gate) -> bool:
    return gate.waiting_of(live=True) > 0 and gate.waiting_of(live=False) > 0


async def test_projects_and_lanes_take_turns_with_what_was_sent_long_before(ledger: Ledgers):
    await send(ledger, *tasks_of(Lane.BACKFILL, 300, first=1, project="a"))
    async with receiving(ledger, "one", concurrency=5) as (_, deliveries):
        for delivery in await arrivals(deliveries, 20):
            await delivery.done()
        await arrivals(deliveries, 20)
    await send(ledger, *tasks_of(Lane.BACKFILL, 5, first=501, project="b"))
    await send(ledger, *tasks_of(Lane.REPAIR, 5, first=601, project="a"))

    async with receiving(ledger, "other", concurrency=4) as (_, deliveries):
        taken = Counter((each.task.ref.project, each.task.lane) for each in await arrivals(deliveries, 15))

    assert taken == {("a", Lane.BACKFILL): 5, ("b", Lane.BACKFILL): 5, ("a", Lane.REPAIR): 5}


async def test_a_task_that_was_taken_long_ago_and_is_left_gives_no_turns_to_what_is_sent_after_it(ledger: Ledgers):
    await send(ledger, *tasks_of(Lane.BACKFILL, 300, first=1, project="a"))
    async with receiving(ledger, "slow", concurrency=1) as (_, slow):
        left = await arrivals(slow, OTHERS_AHEAD)
        await ledger.set_clock(NOW + SECOND)
        async with receiving(ledger, "fast", replace(PATIENT, own=timedelta(0)), concurrency=25) as (_, fast):
            for delivery in await arrivals(fast, 25 * OTHERS_AHEAD):
                await delivery.done()
    await send(ledger, *tasks_of(Lane.BACKFILL, 50, first=501, project="b"))

    async with receiving(ledger, "other", concurrency=11) as (_, deliveries):
        taken = await arrivals(deliveries, 44)

    assert {each.task.id for each in taken} >= {each.task.id for each in left}
    assert Counter(each.task.ref.project for each in taken) == {"a": 22, "b": 22}


@pytest.mark.parametrize("killed", [False, True])
async def test_what_is_left_after_turns_began_anew_waits_behind_no_line_and_its_line_neither(
    ledger: Ledgers, killed: bool
):
    await send(ledger, *tasks_of(Lane.BACKFILL, 100, first=1, project="a"))
    async with receiving(ledger, "one", concurrency=20) as (_, deliveries):
        for delivery in await arrivals(deliveries, 80):
            await delivery.done()
        await arrivals(deliveries, 20)
        await send(ledger, *tasks_of(Lane.BACKFILL, 100, first=501, project="b"))
        if killed:
            await ledger.fetch("UPDATE queued_task SET taken_by = 'killed' WHERE taken_by IS NOT NULL")
    if killed:
        async with receiving(ledger, "two", concurrency=0):
            await eventually(lambda: has_taken(ledger, 0), what="what was lost is free")
    await send(ledger, *tasks_of(Lane.BACKFILL, 10, first=201, project="a"))

    async with receiving(ledger, "other", concurrency=10) as (_, deliveries):
        taken = await arrivals(deliveries, 40)

    assert Counter(each.task.ref.project for each in taken) == {"a": 20, "b": 20}


async def test_what_older_programs_send_waits_behind_nothing(ledger: Ledgers):
    await send(ledger, *tasks_of(Lane.BACKFILL, 50, first=1))
    await put(ledger, 99, taken_by=None)

    async with receiving(ledger, "one", concurrency=1) as (_, deliveries):
        assert (await arrivals(deliveries, 1))[0].task.id == 99


# --- giving back ------------------------------------------------------------------------------------------------------


async def test_what_a_full_receiver_gives_back_goes_to_another_and_it_takes_no_more_until_it_is_done_with_one(
    ledger: Ledgers,
):
    await send(ledger, *some_tasks(20))
    async with receiving(ledger, "one", EAGER, concurrency=2) as (one, first):
        kept, *rest = await arrivals(first, 2 * LIVE_AHEAD)
        await one.give_back(rest)
        await ledger.set_clock(NOW + EAGER.own + timedelta(milliseconds=1))

        async with receiving(ledger, "two", replace(EAGER, expiration=HOUR)) as (_, second):
            for delivery in await arrivals(second, 19):
                await delivery.done()
            await send(ledger, *some_tasks(1, first=50))
            await ledger.set_clock(NOW + HOUR)
            await arrivals(second, 1)
            held = await messages(ledger)
        await send(ledger, *some_tasks(1, first=60))
        await kept.done()
        after = await arrivals(first, 1)

    assert held == {kept.task.id: "one", 50: "two"}
    assert after[0].task.id in {50, 60}


async def test_a_receiver_that_is_limited_to_nothing_takes_nothing_and_leaves_what_it_has_not_delivered(
    ledger: Ledgers,
):
    await send(ledger, *some_tasks(8))
    async with receiving(ledger, "one", EAGER, concurrency=4) as (one, deliveries):
        await arrivals(deliveries, 1)
        one.limit(0)
        waiting = asyncio.create_task(arrivals(deliveries, 1))
        await eventually(lambda: has_taken(ledger, 1), what="it has only what it has delivered")
        one.limit(4)
        (second,) = await waiting

    assert second.task.id == 2


async def has_taken(ledger: Ledgers, count: int) -> bool:
    return sum(name is not None for name in (await messages(ledger)).values()) == count


async def test_what_could_not_be_given_back_is_given_back_once_the_database_is_available(ledger: Ledgers):
    admin, name = database_on(ledger.url, "postgres"), urlsplit(ledger.url).path.removeprefix("/")
    await send(ledger, *some_tasks(3))
    async with receiving(ledger, "one", EAGER) as (one, deliveries):
        kept, *rest = await arrivals(deliveries, 3)
        await execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await execute(admin, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        await one.give_back(rest)
        await execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

        async def have_none() -> bool:
            try:
                held = await messages(ledger)
            except (Unavailable, asyncpg.PostgresError, OSError):
                return False
            return held == {kept.task.id: "one"} | dict.fromkeys(each.task.id for each in rest)

        await eventually(have_none, within=WITHIN, what="no receiver has what was given back")


async def test_what_was_taken_without_an_answer_is_delivered_all_the_same(ledger: Ledgers):
    async with receiving(ledger, "one", EAGER) as (_, deliveries):
        await put(ledger, 1, taken_by="one")  # as after a connection that broke once the statement had committed
        await put(ledger, 2, taken_by=None)

        assert sorted([each.task.id for each in await arrivals(deliveries, 2)]) == [1, 2]
        assert await messages(ledger) == {1: "one", 2: "one"}


async def test_a_message_that_could_not_be_recorded_is_recorded_later(ledger: Ledgers):
    await ledger.fetch("ALTER TABLE queue_refused RENAME TO queue_away")
    await put(ledger, 5, taken_by=None, body=b"{}")
    await put(ledger, 6, taken_by=None)
    async with receiving(ledger, "one", EAGER) as (_, deliveries):
        assert [each.task.id for each in await arrivals(deliveries, 1)] == [6]
        await ledger.fetch("ALTER TABLE queue_away RENAME TO queue_refused")
        waiting = asyncio.create_task(arrivals(deliveries, 1))
        await eventually(lambda: has_only(ledger, 6), what="the message is deleted")
        waiting.cancel()
        await asyncio.wait((waiting,))

    recorded = await ledger.fetch("SELECT task_id, reason FROM queue_refused")
    assert [tuple(row.values()) for row in recorded] == [(5, "unreadable")]
