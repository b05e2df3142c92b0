"""A ledger that an earlier commit has filled opens under this one and goes on; so do its messages in the task queue.

What it holds is described in ``tests/data/upgrades/README.md``.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from pydantic import SecretStr

from benchmarks.gordo_stub import StubPredictions
from latigo.actions.retry import Retried, retry
from latigo.domain.coverage import Coverage
from latigo.domain.model import DatasetConfig, ModelRef, ModelSpec
from latigo.domain.outcome import Stored
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.ledger.model_protocol import KnownProject
from latigo.ledger.protocol import Circuit, Claim, Term
from latigo.postgres.ranges import to_coverage
from latigo.postgres.schema import upgrade
from latigo.providers.simulated import Plant
from latigo.sandbox.gordo import ModelDefinition, ProjectDefinition, demo_project, open_sandbox_gordo
from latigo.settings import (
    BackfillSettings,
    GordoModels,
    HttpSettings,
    PostgresLedger,
    ScheduleSettings,
    Settings,
    SimulatedSensors,
)
from latigo.task_queue import envelope
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.store import QueueStore, Refusal
from tests.support.build import CONNECT_TIMEOUT, HALF_HOUR, at, window
from tests.support.event_hub_queue import HUB, HubQueue, open_hub_queue, working
from tests.support.ledgers import Ledgers, open_ledgers
from tests.support.running_latigo import ShiftedClock, all_done, all_known, running_latigo
from tests.support.upgrades import UPGRADES, columns_of, contents, restore, rows
from tests.support.waiting import eventually

CHANNEL = "eventhub/plant.servicebus.windows.net/latigo"
EXECUTOR = "executor.example/7/0a1b2c3d"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LEASE = timedelta(seconds=30)
PLANT_B = ("waits", "deferred", "refused", "crashed", "gaps", "in-claim", "in-queue", "planned", "whole", "tall", "odd")


@pytest.fixture
async def dumped(database_url: str) -> str:
    """The URL of a database that holds the dump as it is."""
    await restore(database_url, "32f86e9")
    return database_url


@pytest.fixture
async def ledger(dumped: str) -> AsyncIterator[Ledgers]:
    """The dump, opened ten minutes after it was made."""
    await upgrade(dumped, connect_timeout=CONNECT_TIMEOUT)
    async with open_ledgers(dumped) as opened:
        await opened.set_clock(at("12:50"))
        yield opened


async def test_every_view_shows_what_it_showed(dumped: str):
    columns = await columns_of(dumped)
    before = await contents(dumped, columns)

    await upgrade(dumped, connect_timeout=CONNECT_TIMEOUT)
    after = await contents(dumped, columns)

    assert {view: rows.total() for view, rows in before.items()} == {
        "v_models": 5 + 11,
        "v_coverage": 5 + 11,
        "v_exceptions": 12 + 3 + 1 + 1 + 2,
        "v_tasks": 10 + 13,
        "v_parked": 3,
        "v_predictions": 1128,
        "v_queue": 4,
    }
    assert after == before


async def test_the_dump_has_a_task_in_every_state_and_a_slot_of_every_kind(ledger: Ledgers):
    tasks = await ledger.fetch("SELECT model, lane, state FROM v_tasks WHERE project = 'plant-b'")
    exceptions = await ledger.fetch("SELECT DISTINCT state FROM v_exceptions")
    parked = await ledger.fetch("SELECT model, reason FROM v_parked")

    assert {row["state"] for row in tasks} == {
        *("planned", "published", "claimed", "waiting"),
        *("stored", "deferred", "rejected", "crashed", "split"),
    }
    assert {row["lane"] for row in tasks} == {lane.value for lane in Lane}
    assert {row["state"] for row in exceptions} == {"absent", "short", "provisional"}
    assert {row["model"]: row["reason"] for row in parked} == {
        "odd": "bad_metadata",
        "refused": "values_refused",
        "crashed": "crashed",
    }


async def test_the_scheduler_goes_on_with_what_is_out(ledger: Ledgers):
    term = await ledger.scheduler.acquire_lease("scheduler-2", timedelta(seconds=15))
    assert term is not None

    recovered = await ledger.scheduler.recover(term, CHANNEL, isolated_starts=3, version="0.2.0")
    woken = await ledger.scheduler.wake_waiting(term, blocked=[], most=10)
    unpublished = await ledger.scheduler.unpublished(term, 100)

    assert term.number == 2 + 1
    assert recovered == {"superseded": 2, "lost": 1, "parked": 0}
    assert woken == 1
    assert {(task.ref.name, task.window) for task in unpublished} == {
        (name, window("11:30", "12:30")) for name in ("planned", "waits", "in-claim")
    }


async def test_a_message_that_is_in_the_queue_is_claimed_and_its_settlement_covers(ledger: Ledgers):
    (task,) = await ledger.fetch("SELECT id FROM v_tasks WHERE model = 'tall' AND state = 'published'")

    claim = await ledger.claim(int(str(task["id"])), 1, "executor-2", LEASE)
    assert claim is not None
    counted = await ledger.executor.settle([(claim, Stored.in_full(window("10:30", "11:30"), rows=6))])
    (row,) = await ledger.fetch("SELECT covered FROM v_coverage WHERE model = 'tall'")

    assert counted == {claim.task_id}
    assert to_coverage(row["covered"]) == Coverage((window("10:30", "11:30"),))


async def test_what_is_parked_gets_another_chance(ledger: Ledgers):
    unparked, *_ = await retry(ledger.database, "operator@plant.example", Retried("plant-b"))

    assert {row.model for row in unparked} == {"odd", "refused", "crashed"}
    assert await ledger.fetch("SELECT * FROM v_parked") == []


async def test_the_queue_goes_on_where_it_was(ledger: Ledgers):
    queue = QueueStore(ledger.database.pool, CHANNEL, "$Default")

    owners = {row["partition"]: row["owner_id"] for row in await ledger.fetch("SELECT * FROM queue_ownership")}
    refused = await queue.refused(10)

    assert await queue.checkpoints() == {
        "0": Position(41, "4294967336"),
        "1": Position(17, "8589934608"),
        "3": Position(5, "12884901893"),
    }
    assert owners == dict.fromkeys("0123", EXECUTOR)
    assert {(each.partition, each.sequence, each.reason) for each in refused} == {
        ("2", 12, Refusal.UNREADABLE),
        ("2", 13, Refusal.TOO_NEW),
        ("1", None, Refusal.TOO_LARGE),
    }


async def test_projects_models_and_roster_are_known(ledger: Ledgers):
    known = {model.name: model for model in await ledger.models.known_models("plant-b")}

    assert list(await ledger.models.projects()) == [
        KnownProject("plant-a", "1764547200000", 5, "", None, 0, accept_loss=False),
        KnownProject("plant-b", "1000", 11, "", at("12:40"), 2, accept_loss=False),
        KnownProject("plant-c", "", 0, "gordo/plant-c: connection refused", None, 0, accept_loss=False),
    ]
    assert await ledger.roster.entries() == {
        ModelRef("plant-a", "left-out"): False,
        ModelRef("plant-d", "by-hand"): True,
    }
    assert {(model.revision, model.state, model.resolution) for model in (known["whole"], known["odd"])} == {
        ("1001", "active", timedelta(minutes=10)),
        ("1000", "unusable", None),
    }


async def test_the_lease_of_the_scheduler_of_before_holds_until_it_runs_out(ledger: Ledgers):
    await ledger.set_clock(at("12:40"))
    assert await ledger.scheduler.acquire_lease("scheduler-2", LEASE) is None

    await ledger.set_clock(at("12:41"))

    assert await ledger.scheduler.acquire_lease("scheduler-2", LEASE) == Term("scheduler-2", 3)


async def test_needs_are_what_is_neither_covered_nor_out_nor_excepted_nor_parked(ledger: Ledgers):
    await ledger.set_clock(at("12:40"))

    newest, older = window("12:00", "12:30"), window("10:30", "11:30")
    assert await _needs(ledger) == {
        **dict.fromkeys(("compressor-002", "filtered", "pump-001", "separator-003", "turbine-004"), (newest, None)),
        **dict.fromkeys(("crashed", "refused"), (None, older)),
        **dict.fromkeys(("in-claim", "planned", "waits", "in-queue"), (None, older)),
        "gaps": (None, window("09:30", "10:30")),
        "tall": (newest, None),
    }


async def test_a_circuit_of_before_closes_and_releases_what_waits_for_it(ledger: Ledgers):
    await ledger.set_clock(at("12:40"))
    opened, first, longest = at("12:40"), timedelta(seconds=15), timedelta(minutes=2)
    assert list(await ledger.scheduler.circuits()) == [
        Circuit("gordo/plant-b", "gordo/plant-b: connection refused", False, opened, first, False),
        Circuit("sink/influx", "sink/influx: 401", True, opened, longest, False),
    ]
    assert "deferred" not in await _needs(ledger)

    assert await ledger.executor.close_circuit("gordo/plant-b")

    assert "deferred" in await _needs(ledger)


async def test_what_another_queue_had_is_published_again_with_all_that_was_planned(ledger: Ledgers):
    term = await ledger.scheduler.acquire_lease("scheduler-2", LEASE)
    assert term is not None

    recovered = await ledger.scheduler.recover(term, "internal/another", isolated_starts=3, version="0.2.0")

    assert recovered == {"superseded": 2, "lost": 2, "parked": 0}
    tasks = await ledger.scheduler.unpublished(term, 10)
    assert [(task.ref.name, task.lane, task.epoch, task.trace) for task in tasks] == [
        ("in-claim", Lane.LIVE, 1, TRACE),
        ("planned", Lane.LIVE, 1, TRACE),
        ("tall", Lane.REPAIR, 1, TRACE),
    ]
    assert tasks[0].model.dataset == DatasetConfig(tag_list=("a", "b"), target_tag_list=("a", "b"))


async def test_a_waiting_task_keeps_its_attempts_and_the_sinks_that_have_its_result(ledger: Ledgers):
    term = await ledger.scheduler.acquire_lease("scheduler-2", LEASE)
    assert term is not None
    assert await ledger.scheduler.wake_waiting(term, blocked=["plant-b"], most=10) == 0
    assert await ledger.scheduler.wake_waiting(term, blocked=[], most=10) == 1
    (task,) = await ledger.fetch("SELECT id FROM v_tasks WHERE model = 'waits' AND state = 'planned'")
    number = int(str(task["id"]))

    claim = await ledger.claim(number, 1, "executor-2", LEASE)

    assert claim is not None
    assert claim.task_id == number
    assert (claim.attempts, claim.starts) == (1, 0)
    assert claim.number > 1
    assert claim.stored_in == {"sink/postgres"}


async def test_a_claim_that_was_taken_before_the_update_is_renewed_and_settled_after_it(ledger: Ledgers):
    (task,) = await ledger.fetch("SELECT id FROM v_tasks WHERE model = 'in-claim' AND state = 'claimed'")
    number, ref, span = int(str(task["id"])), ModelRef("plant-b", "in-claim"), window("11:30", "12:30")
    claim = Claim(number, 1, 0, 0, frozenset(), ref, span, epoch=1, incarnation=1)

    renewed = await ledger.executor.renew([claim], LEASE)
    counted = await ledger.executor.settle([(claim, Stored.in_full(window("11:30", "12:30"), rows=6))])

    assert renewed == counted == {claim.task_id}
    (row,) = await ledger.fetch("SELECT covered FROM v_coverage WHERE model = 'in-claim'")
    assert to_coverage(row["covered"]) == Coverage((window("11:30", "12:30"),))


async def test_a_message_of_an_older_epoch_is_not_claimed(ledger: Ledgers):
    (task,) = await ledger.fetch("SELECT id FROM v_tasks WHERE model = 'in-queue' AND state = 'published'")

    assert await ledger.claim(int(str(task["id"])), 1, "executor-2", LEASE) is None


async def test_what_crashed_under_the_version_of_before_gets_another_chance(ledger: Ledgers):
    assert await ledger.scheduler.forgive_crashes("a later version") == 1

    assert (await _needs(ledger))["crashed"] == (window("11:30", "12:30"), window("10:30", "11:30"))


async def test_exceptions_of_before_are_due_at_the_time_that_was_written_down(ledger: Ledgers):
    await ledger.set_clock(at("13:06"))
    assert (await _needs(ledger))["filtered"] == (window("12:00", "13:00"), None)

    await ledger.set_clock(at("13:08"))

    assert (await _needs(ledger))["filtered"] == (window("10:00", "13:00"), window("07:00", "10:00"))


async def test_an_executor_of_before_says_which_messages_it_reads_while_it_is_there(ledger: Ledgers):
    await ledger.set_clock(at("12:41"))
    assert (await ledger.scheduler.outstanding()).readable == 1

    await ledger.set_clock(at("12:43"))

    assert (await ledger.scheduler.outstanding()).readable is None


async def test_a_receiver_continues_after_the_checkpoints_of_before(ledger: Ledgers):
    messages = (UPGRADES / "envelopes-32f86e9.jsonl").read_bytes().splitlines()
    ids = [orjson.loads(message)["id"] for message in messages]
    async with open_hub_queue(ledger.url, partitions=4) as hub:
        # The event hub as it was then: all that has been checkpointed, and three messages more.
        for partition, count in (("0", 42 + 3), ("1", 18), ("3", 6)):
            for number in range(count):
                hub.put(messages[number % len(messages)], partition)
        await _continue_in(hub, ledger)

        async with hub.receiver() as receiver, working(receiver) as worker:

            async def is_checkpointed() -> bool:
                return (await hub.checkpoints())["0"] == 44

            await eventually(is_checkpointed, what="a checkpoint after the last message")

    assert worker.seen == [ids[number % len(ids)] for number in (42, 43, 44)]


async def _continue_in(hub: HubQueue, ledger: Ledgers) -> None:
    """Let what is known of the event hub of before be known of this one, which has offsets of its own."""
    events = {
        each.id: {event.sequence_number: event for event in each.events} for each in hub.emulator.hub(HUB).partitions
    }
    async with ledger.database.connection() as connection:
        for table in ("queue_ownership", "queue_checkpoint", "queue_refused", "queue_partition"):
            await connection.execute(f"UPDATE {table} SET channel = $1", hub.section.address.channel)
        for partition, sequence in (await hub.checkpoints()).items():
            await connection.execute(
                "UPDATE queue_checkpoint SET hub_offset = $1 WHERE partition = $2",
                str(events[partition][sequence].offset),
                partition,
            )


async def _needs(ledger: Ledgers) -> dict[str, tuple[Window | None, Window | None]]:
    """What each model lacks: its live window, and the newest one below."""
    return {
        need.ref.name: (need.windows.get(Lane.LIVE), need.windows.get(Lane.BACKFILL))
        for need in await ledger.scheduler.needs(timedelta(days=30))
    }


async def test_scheduler_and_executor_fill_what_is_missing_and_repeat_nothing(dumped: str):
    plant = Plant()
    project = demo_project(plant, "plant-a", 5, timedelta(minutes=10), 2)
    names = {row["model"] for row in await rows(dumped, "SELECT model FROM v_models WHERE project = 'plant-a'")}
    plant_a = ProjectDefinition(
        "plant-a",
        tuple(ModelDefinition(name, project.models[0].tags) for name in sorted(map(str, names))),
        project.revision,
    )
    plant_b = ProjectDefinition("plant-b", tuple(ModelDefinition(name, ("a", "b")) for name in PLANT_B))
    covered, predicted = await _covered(dumped), await _predictions(dumped)
    await upgrade(dumped, connect_timeout=CONNECT_TIMEOUT)
    clock = ShiftedClock(at("12:50"))
    await clock.share(dumped)
    async with open_sandbox_gordo((plant_a, plant_b), canned=StubPredictions()) as gordo:
        settings = Settings(
            schedule=ScheduleSettings(max_window=timedelta(hours=3)),
            backfill=BackfillSettings(horizon=timedelta(hours=6)),
            ledger=PostgresLedger(url=SecretStr(dumped)),
            models=GordoModels(url=gordo.url, projects=("plant-a", "plant-b")),
            sensors=SimulatedSensors(),
            http=HttpSettings(enabled=False),
        )
        async with running_latigo(settings, clock) as latigo:
            await all_known(latigo, PLANT_B, plant_b.revision)
            await all_done(latigo)

    newest = window("12:00", "12:30")
    now_covered = await _covered(dumped)
    excepted = {
        (row["project"], row["model"])
        for row in await rows(dumped, "SELECT project, model FROM v_exceptions WHERE lower(slot) = '2026-03-01T12:00Z'")
    }
    again = await rows(
        dumped,
        "SELECT m.project, m.name, h.span FROM task_history h JOIN model m ON m.id = h.model_id "
        "WHERE h.outcome = 'stored' AND h.settled_at >= '2026-03-01T12:45Z'",
    )
    assert len(now_covered) == 5 + 11
    assert {ref for ref, coverage in now_covered.items() if Coverage((newest,)) - coverage} == excepted
    assert excepted == {("plant-a", "filtered"), ("plant-b", "gaps")}
    assert [ref for ref, coverage in covered.items() if coverage - now_covered[ref]] == []
    assert again
    assert gordo.controls.executed
    assert [run for run in gordo.controls.executed if run.last and run.last in covered[run.project, run.model]] == []
    assert predicted <= await _predictions(dumped)
    for row in again:
        repeated = Coverage((Window(row["span"].lower, row["span"].upper),)) & covered[row["project"], row["name"]]
        assert not repeated, row


async def _predictions(url: str) -> set[tuple[object, ...]]:
    return {tuple(row) for row in await rows(url, "SELECT * FROM v_predictions")}


async def _covered(url: str) -> dict[tuple[str, str], Coverage]:
    covered = await rows(url, "SELECT project, model, covered FROM v_coverage")
    return {(row["project"], row["model"]): to_coverage(row["covered"]) for row in covered}


def expected_tasks() -> list[Task]:
    pump = DatasetConfig(tag_list=("a", "b"), target_tag_list=("a", "b"))
    fan = DatasetConfig(tag_list=("a", "b"), target_tag_list=("a",))
    morning = window("10:00", "10:30")
    return [
        Task(7, 1, ModelSpec(ModelRef("plant", "pump"), "1000", pump, anomaly=True), morning, 1800, Lane.LIVE, TRACE),
        Task(
            8,
            3,
            ModelSpec(ModelRef("plant-b", "fan"), "1577836800000", fan, model_offset=5),
            window("10:00", "13:00"),
            1800,
            Lane.BACKFILL,
            probe=True,
        ),
        Task(
            2**40,
            1,
            ModelSpec(ModelRef("plant", "Kjølevann"), "1000", pump, anomaly=False),
            morning,
            HALF_HOUR // timedelta(seconds=1) * 2,
            Lane.REPAIR,
        ),
        Task(9, 1, ModelSpec(ModelRef("plant", "pump"), "1000", pump, anomaly=True), morning, 1800, Lane.MANUAL),
        Task(
            10,
            4,
            ModelSpec(
                ModelRef("plant-b", "cooler"),
                "1764547200000",
                DatasetConfig(
                    tag_list=("1903.TT-0007.PV", "1903.PT-0007.PV"),
                    target_tag_list=("1903.TT-0007.PV",),
                    resolution=timedelta(seconds=2.5),
                    aggregation="max",
                    interpolation_method="ffill",
                    interpolation_limit=None,
                    row_filter="`1903.XV-0007.STATUS` > 0.5",
                    filter_tags=("1903.XV-0007.STATUS",),
                ),
                model_offset=11,
                anomaly=True,
                accepts_nan=True,
                assets={"1903.TT-0007.PV": "1903-DEMO", "1903.PT-0007.PV": "1903-DEMO"},
            ),
            Window(datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC), at("00:01")),
            30,
            Lane.BACKFILL,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ]


def test_messages_are_read_as_they_were_meant_and_written_as_they_were():
    lines = (UPGRADES / "envelopes-32f86e9.jsonl").read_bytes().splitlines()

    tasks = [envelope.decode(line) for line in lines]

    assert tasks == expected_tasks()
    # An executor of before passes over keys that it does not know, so that there may be more of them.
    for task, line in zip(tasks, lines, strict=True):
        written, of_before = orjson.loads(envelope.encode(task, 1)), orjson.loads(line)
        assert {key: written[key] for key in of_before} == of_before
