"""What a status names of the ledger: silent sensors with the models that wait, and processes without their queue."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.outcome import SlotException, SlotState, Stored
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Planned
from latigo.ledger.queue_outages import QueueOutages
from latigo.ledger.shared import MAX_TAGS
from latigo.reports.snapshot import NAMED
from latigo.reports.status import Status, read_status
from tests.support.build import HALF_HOUR, NOW, an_entry, at, window
from tests.support.ledgers import Ledgers


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


async def settle_newest(ledger: Ledgers, now: datetime, lacking: Mapping[str, Sequence[str]]) -> None:
    """Settle the newest slot of each model: as absent for these tags, as covered without any."""
    await ledger.set_clock(now)
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None
    needs = [need for need in await ledger.scheduler.needs(timedelta(days=30)) if need.ref.name in lacking]
    slots = {need.ref.name: need.windows[Lane.LIVE] for need in needs}
    await ledger.scheduler.plan(term, [Planned(n.model_id, n.epoch, slots[n.ref.name], Lane.LIVE) for n in needs])
    for task in await ledger.scheduler.unpublished(term, 100):
        name = task.model.ref.name
        newest = Window(slots[name].end - HALF_HOUR, slots[name].end)
        older = Coverage((slots[name],)) - Coverage((newest,))
        tags = tuple(lacking[name])
        ended = Stored(Coverage((slots[name],)))
        if tags:
            absent = SlotException(SlotState.ABSENT, Coverage((newest,)), f"no data: {len(tags)}", tags)
            ended = Stored(older, [absent], silent_since=newest.start)
        claim = await ledger.executor.claim(task, "executor-1", timedelta(seconds=30))
        assert claim is not None
        assert await ledger.executor.settle([(claim, ended)])


async def status(ledger: Ledgers) -> Status:
    return await read_status(ledger.database, "test")


def named(status: Status) -> list[Any]:
    return [(sensor.tag, sensor.since, sensor.models) for sensor in status.silent_sensors]


async def test_silent_sensors_are_named_with_their_models_and_since_when(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump"), an_entry("fan"), an_entry("well", project="oil"), an_entry("ok")])
    await settle_newest(ledger, NOW, {"pump": ["A"], "fan": ["A", 'it\'s \0 "B"'], "well": ["C"], "ok": []})
    await settle_newest(ledger, NOW + HALF_HOUR, {"pump": ["A", "C"], "fan": ["A"], "well": [], "ok": []})

    report = await status(ledger)

    assert named(report) == [("A", at("11:30"), 2), ("C", at("12:00"), 1)]
    assert [list(sensor.projects) for sensor in report.silent_sensors] == [["plant"], ["plant"]]
    assert report.silent_sensor_count == 2
    assert [(cause.kind, cause.since) for cause in report.causes if cause.kind == "silent_sensors"] == [
        ("silent_sensors", at("11:30"))
    ]


async def test_a_sensor_that_two_projects_wait_for_is_one_with_both(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump"), an_entry("well", project="oil")])
    await settle_newest(ledger, NOW, {"pump": ["A"], "well": ["A"]})

    (sensor,) = (await status(ledger)).silent_sensors

    assert (sensor.tag, sensor.models, list(sensor.projects)) == ("A", 2, ["oil", "plant"])


async def test_a_sensor_is_silent_only_while_models_that_are_predicted_wait_for_it(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump"), an_entry("fan")])
    await settle_newest(ledger, NOW, {"pump": ["A"], "fan": ["B"]})
    await ledger.models.set_state("plant", ["fan"], "unregistered")
    one_left = named(await status(ledger))
    await settle_newest(ledger, NOW + HALF_HOUR, {"pump": []})

    assert one_left == [("A", at("11:30"), 1)]
    assert named(await status(ledger)) == []


async def test_more_silent_sensors_than_a_status_names_are_counted(ledger: Ledgers):
    tags = [f"T-{number:03}" for number in range(MAX_TAGS + 5)]
    await ledger.models.put_models([an_entry("pump")])
    await settle_newest(ledger, NOW, {"pump": tags})

    report = await status(ledger)

    assert [tag for tag, _, _ in named(report)] == tags[:NAMED]
    assert report.silent_sensor_count == MAX_TAGS


async def test_a_silence_is_as_long_as_the_slots_that_were_tried_and_those_that_were_not(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", horizon=HALF_HOUR)])
    for number in (0, 1, 5):  # no scheduler was running for two hours
        await settle_newest(ledger, NOW + number * HALF_HOUR, {"pump": ["A"]})

    assert named(await status(ledger)) == [("A", window("11:30", "12:00").start, 1)]


async def test_processes_that_cannot_reach_the_queue_are_an_alarm_while_they_report_it(ledger: Ledgers):
    one, two = (QueueOutages(ledger.database, name) for name in ("a", "b"))
    await one.report({"scheduler": "refused", "executor": "refused"})
    await ledger.set_clock(NOW + timedelta(seconds=30))
    await two.report({"executor": "timed out"})
    during = await status(ledger)
    await one.report({"executor": "refused"})
    await two.report({})
    after = await status(ledger)
    await ledger.set_clock(NOW + timedelta(seconds=91))

    assert [(each.role, each.processes, each.since) for each in during.queue_outages] == [
        ("scheduler", 1, NOW),
        ("executor", 2, NOW),
    ]
    assert [alarm for alarm in during.alarms if "queue" in alarm] == [
        "the task queue is unreachable for 1 scheduler and 2 executors: refused"
    ]
    assert [(each.role, each.processes, each.reason) for each in after.queue_outages] == [("executor", 1, "refused")]
    assert (await status(ledger)).queue_outages == []  # it was killed, and nothing is known of it


async def test_reports_that_processes_left_behind_go_after_a_day(ledger: Ledgers):
    await QueueOutages(ledger.database, "killed").report({"executor": "refused"})
    await ledger.set_clock(NOW + timedelta(hours=25))
    other = QueueOutages(ledger.database, "other")
    await other.report({"executor": "refused"})
    await other.report({})

    assert await ledger.fetch("SELECT process FROM queue_outage") == []
