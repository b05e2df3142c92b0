"""What the client library expects of a checkpoint store, against a real PostgreSQL."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from latigo.actions.reset_queue import reset_queue
from latigo.domain.errors import Unavailable
from latigo.reports.status import read_status
from latigo.runtime.clock import SystemClock
from latigo.task_queue.eventhub.checkpoints import PostgresCheckpointStore
from latigo.task_queue.eventhub.lag import read_refused, reset_checkpoints
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.store import QueueStore, Refusal
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers

NAMESPACE, HUB, GROUP = "plant.servicebus.windows.net", "tasks", "$Default"
CHANNEL = f"eventhub/{NAMESPACE}/{HUB}"


@pytest.fixture
def tables(ledgers: Ledgers) -> QueueStore:
    return QueueStore(ledgers.database.pool, CHANNEL, GROUP)


def a_store(tables: QueueStore) -> PostgresCheckpointStore:
    return PostgresCheckpointStore(tables, SystemClock())


def a_claim(partition: str, owner: str, **changes: Any) -> dict[str, Any]:
    return {
        "fully_qualified_namespace": NAMESPACE,
        "eventhub_name": HUB,
        "consumer_group": GROUP,
        "partition_id": partition,
        "owner_id": owner,
        **changes,
    }


def a_checkpoint(partition: str, sequence: int) -> dict[str, Any]:
    place = {"offset": f"o{sequence}", "sequence_number": sequence}
    return {key: value for key, value in a_claim(partition, "", **place).items() if key != "owner_id"}


async def owned(store: PostgresCheckpointStore) -> dict[str, str]:
    return {row["partition_id"]: row["owner_id"] for row in await store.list_ownership(NAMESPACE, HUB, GROUP)}


async def positions(store: PostgresCheckpointStore) -> dict[str, int]:
    rows = await store.list_checkpoints(NAMESPACE, HUB, GROUP)
    return {row["partition_id"]: row["sequence_number"] for row in rows}


async def test_a_new_claim_is_granted_and_listed_with_all_that_the_client_needs(tables: QueueStore):
    store = a_store(tables)

    (granted,) = await store.claim_ownership([a_claim("3", "me")])
    (listed,) = await store.list_ownership(NAMESPACE, HUB, GROUP)

    assert listed["etag"] == granted["etag"]
    assert {key: value for key, value in listed.items() if key not in {"etag", "last_modified_time"}} == a_claim(
        "3", "me"
    )
    assert abs(listed["last_modified_time"] - time.time()) < 5
    assert abs(granted["last_modified_time"] - time.time()) < 5


async def test_it_is_known_when_the_client_last_asked_who_owns_what(tables: QueueStore):
    clock = ManualClock()
    store = PostgresCheckpointStore(tables, clock)
    times = [store.listed_at]

    clock.jump(timedelta(seconds=10))
    await store.claim_ownership([a_claim("3", "me")])
    times.append(store.listed_at)
    await store.list_ownership(NAMESPACE, HUB, GROUP)
    times.append(store.listed_at)

    assert times == [0, 0, 10]


async def test_what_is_listed_may_be_changed_by_the_client(tables: QueueStore):
    store = a_store(tables)
    await store.claim_ownership([a_claim("3", "me")])

    (await store.list_ownership(NAMESPACE, HUB, GROUP))[0]["owner_id"] = "someone"

    assert await owned(store) == {"3": "me"}


async def test_ages_are_by_the_clock_of_the_database(tables: QueueStore, ledgers: Ledgers):
    store = a_store(tables)
    await store.claim_ownership([a_claim("3", "me")])
    async with ledgers.database.connection() as connection:
        await connection.execute("UPDATE queue_ownership SET modified_at = modified_at - interval '100 seconds'")

    (listed,) = await store.list_ownership(NAMESPACE, HUB, GROUP)

    assert 99 < time.time() - listed["last_modified_time"] < 105


async def test_renewing_releasing_and_stealing_need_the_newest_etag(tables: QueueStore):
    store = a_store(tables)
    (first,) = await store.claim_ownership([a_claim("3", "me")])
    (renewed,) = await store.claim_ownership([first])

    assert await store.claim_ownership([first]) == []
    (stolen,) = await store.claim_ownership([{**renewed, "owner_id": "you"}])
    assert await store.claim_ownership([renewed]) == []
    assert await store.claim_ownership([{**stolen, "owner_id": ""}])
    assert await owned(store) == {"3": ""}


async def test_what_is_not_granted_is_missing_in_the_answer_and_the_rest_is_there(tables: QueueStore):
    store = a_store(tables)
    await store.claim_ownership([a_claim("1", "you")])

    granted = await store.claim_ownership([a_claim(name, "me") for name in ("2", "1", "0")])

    assert [each["partition_id"] for each in granted] == ["0", "2"]


async def test_of_many_who_claim_the_same_partitions_at_once_each_partition_is_granted_to_one(tables: QueueStore):
    names = [str(number) for number in range(16)]
    owners = [f"owner-{number}" for number in range(4)]

    granted = await asyncio.gather(
        *(a_store(tables).claim_ownership([a_claim(name, owner) for name in names]) for owner in owners)
    )

    assert sorted(each["partition_id"] for grants in granted for each in grants) == sorted(names)


async def test_groups_and_hubs_are_apart(tables: QueueStore, ledgers: Ledgers):
    store = a_store(tables)
    await store.claim_ownership([a_claim("3", "me")])
    other = a_store(QueueStore(ledgers.database.pool, CHANNEL, "another"))

    assert await owned(other) == {}
    assert await other.claim_ownership([a_claim("3", "you")])
    assert await owned(store) == {"3": "me"}


async def test_a_checkpoint_only_grows(tables: QueueStore):
    store = a_store(tables)
    await store.claim_ownership([a_claim("3", "me")])

    for sequence in (5, 9, 7):
        await store.update_checkpoint(a_checkpoint("3", sequence))

    assert await store.list_checkpoints(NAMESPACE, HUB, GROUP) == [a_checkpoint("3", 9)]


async def test_only_the_owner_moves_a_checkpoint(tables: QueueStore):
    mine, yours = a_store(tables), a_store(tables)
    (granted,) = await mine.claim_ownership([a_claim("3", "me")])
    await mine.update_checkpoint(a_checkpoint("3", 5))
    await yours.claim_ownership([{**granted, "owner_id": "you"}])

    await mine.update_checkpoint(a_checkpoint("3", 9))
    assert await positions(yours) == {"3": 5}

    await yours.update_checkpoint(a_checkpoint("3", 7))
    assert await positions(mine) == {"3": 7}


async def test_an_owner_that_never_claimed_moves_nothing(tables: QueueStore):
    store = a_store(tables)

    await store.update_checkpoint(a_checkpoint("3", 5))

    assert await positions(store) == {}


async def test_several_partitions_advance_at_once_each_by_its_own_rule(tables: QueueStore):
    store = a_store(tables)
    await store.claim_ownership([a_claim("0", "me"), a_claim("1", "me")])
    await store.update_checkpoint(a_checkpoint("1", 50))

    await store.advance({"0": Position(3, "a"), "1": Position(4, "b"), "2": Position(5, "c")})

    assert await positions(store) == {"0": 3, "1": 50}


async def test_all_that_is_still_owned_can_be_released_at_once(tables: QueueStore):
    mine, yours = a_store(tables), a_store(tables)
    await mine.claim_ownership([a_claim("0", "me"), a_claim("1", "me")])
    await yours.claim_ownership([a_claim("2", "you")])

    await mine.release()

    assert await owned(yours) == {"0": "", "1": "", "2": "you"}


async def test_an_unreachable_database_is_reported_as_such_and_soon(ledgers: Ledgers):
    async with ledgers.database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE queue_ownership")
        waiting = a_store(QueueStore(ledgers.database.pool, CHANNEL, GROUP, time_limit=0.2))

        with pytest.raises(Unavailable, match="task queue's tables"):
            await waiting.list_ownership(NAMESPACE, HUB, GROUP)


async def test_a_release_that_fails_is_a_warning_since_the_client_waits_for_none(ledgers: Ledgers):
    mine = a_store(QueueStore(ledgers.database.pool, CHANNEL, GROUP, time_limit=0.2))
    (held,) = await mine.claim_ownership([a_claim("3", "me")])
    async with ledgers.database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE queue_ownership")

        with capture_logs() as logs, pytest.raises(Unavailable):
            await mine.claim_ownership([held])
        with capture_logs() as released:
            granted = await mine.claim_ownership([{**held, "owner_id": ""}])

    assert granted == []
    assert (logs, [line["event"] for line in released]) == ([], ["queue.release_failed"])


async def test_a_message_is_recorded_once(tables: QueueStore, ledgers: Ledgers):
    first = await tables.refuse_received("3", 17, Refusal.UNREADABLE, "not JSON", None)
    again = await tables.refuse_received("3", 17, Refusal.UNREADABLE, "not JSON", None)

    (message,) = await read_refused(ledgers.database.pool, CHANNEL)
    assert (first, again) == (True, False)
    assert (message.partition, message.sequence, message.reason, message.detail) == (
        "3",
        17,
        Refusal.UNREADABLE,
        "not JSON",
    )


async def test_another_message_in_the_same_place_is_of_another_hub_and_recorded(tables: QueueStore):
    await tables.refuse_received("3", 17, Refusal.UNREADABLE, "not JSON", None)

    assert await tables.refuse_received("3", 17, Refusal.TOO_NEW, "version 2", 99)


async def test_a_task_that_cannot_be_sent_is_recorded_once(tables: QueueStore, ledgers: Ledgers):
    assert await tables.refuse_unsent("3", 17, "300000 bytes")
    assert not await tables.refuse_unsent("3", 17, "300000 bytes")

    (message,) = await read_refused(ledgers.database.pool, CHANNEL)
    assert (message.sequence, message.task_id, message.reason) == (None, 17, Refusal.TOO_LARGE)


@pytest.mark.parametrize("detail", ["x" * 100_000, "nul \0 inside", "half a pair \ud800"])
async def test_whatever_a_message_says_can_be_recorded(tables: QueueStore, ledgers: Ledgers, detail: str):
    await tables.refuse_received("3", 17, Refusal.UNREADABLE, detail, 2**63 - 1)

    (message,) = await read_refused(ledgers.database.pool, CHANNEL)
    assert message.detail
    assert len(message.detail) <= 400


async def test_only_the_newest_refusals_are_kept(tables: QueueStore, ledgers: Ledgers):
    for sequence in range(5):
        await tables.refuse_received("3", sequence, Refusal.UNREADABLE, "no", None)

    await tables.prune_refused(limit=2)

    assert [each.sequence for each in await read_refused(ledgers.database.pool, CHANNEL)] == [4, 3]


async def test_resetting_forgets_the_checkpoints_of_one_group_only(tables: QueueStore, ledgers: Ledgers):
    pool = ledgers.database.pool
    store, other = a_store(tables), a_store(QueueStore(pool, CHANNEL, "another"))
    for each in (store, other):
        await each.claim_ownership([a_claim("3", "me")])
        await each.update_checkpoint(a_checkpoint("3", 5))

    async with ledgers.database.transaction() as connection:
        assert await reset_checkpoints(connection, CHANNEL, GROUP) == 1

    assert await positions(store) == {}
    assert await positions(other) == {"3": 5}


async def test_a_reset_is_recorded_in_the_transaction_that_does_it(tables: QueueStore, ledgers: Ledgers):
    store = a_store(tables)
    await store.claim_ownership([a_claim("3", "me")])
    await store.update_checkpoint(a_checkpoint("3", 5))

    with pytest.raises(asyncpg.PostgresError):
        await reset_queue(ledgers.database, "nobody \0", CHANNEL, GROUP)  # no text that can be recorded
    failed = (await positions(store), await ledgers.fetch("SELECT kind FROM request"))
    count = await reset_queue(ledgers.database, "operator@host", CHANNEL, GROUP)

    assert failed == ({"3": 5}, [])
    assert (count, await positions(store)) == (1, {})
    assert await ledgers.fetch("SELECT kind, who FROM request") == [{"kind": "reset_queue", "who": "operator@host"}]


async def test_a_reset_partition_may_be_checkpointed_from_its_beginning(tables: QueueStore, ledgers: Ledgers):
    store = a_store(tables)
    await store.claim_ownership([a_claim("3", "me")])
    await store.update_checkpoint(a_checkpoint("3", 500))

    async with ledgers.database.transaction() as connection:
        await reset_checkpoints(connection, CHANNEL, GROUP)
    await store.update_checkpoint(a_checkpoint("3", 2))

    assert await positions(store) == {"3": 2}


async def test_status_shows_the_hub_and_group_that_the_scheduler_reads_now_and_none_before_it(ledgers: Ledgers):
    other_hub, other_group = (CHANNEL + "-before", GROUP, 900), (CHANNEL, "latigo", 50)
    async with ledgers.database.connection() as connection:
        for age, (channel, group, last) in enumerate((other_hub, other_group, (CHANNEL, GROUP, 7))):
            await connection.execute(
                "INSERT INTO queue_partition (channel, consumer_group, partition, begin_sequence, last_sequence, "
                "read_at, hub_recreated) VALUES ($1, $2, '0', 0, $3, ledger_now() - $4 * interval '10 minutes', $5)",
                *(channel, group, last, 3 - age, channel != CHANNEL),
            )

    status = (await read_status(ledgers.database, "test")).model_dump()

    assert [(each["channel"], each["lag"]) for each in status["queue"]["partitions"]] == [(CHANNEL, 8)]
    assert status["queue"]["lag"] == 8
    assert not [alarm for alarm in status["alarms"] if "was recreated" in alarm]
