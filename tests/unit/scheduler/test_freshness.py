"""When freshness is counted, and which models open circuits keep from being planned."""

import asyncio
from datetime import timedelta

from prometheus_client import CollectorRegistry

from latigo.domain.circuits import System
from latigo.domain.freshness import FRESH, Cause
from latigo.ledger.freshness import Block
from latigo.ledger.protocol import Term
from latigo.scheduler.freshness import COUNT_WITHIN, EVERY, MOST_SHARE, SUM_SLACK, FreshnessCounter, blocks_of
from latigo.scheduler.groups import Group, Groups
from latigo.telemetry.metrics import Metrics
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryFreshness

TERM = Term("scheduler-1", 1)
SECOND = timedelta(seconds=1)
PLANTS = Groups(["a", "b"], ("sensors/influx",))


def downstreams(project: str) -> list[str]:
    return [f"gordo/{project}", "sink/required"]


def a_counter(
    ledger: MemoryFreshness, clock: ManualClock, registry: CollectorRegistry | None = None
) -> FreshnessCounter:
    return FreshnessCounter(ledger, None, clock, Metrics(registry or CollectorRegistry(), clock))


def test_nothing_is_blocked_while_no_circuit_is_open_that_is_needed():
    assert blocks_of(PLANTS, [], downstreams) == []
    assert blocks_of(PLANTS, ["sink/second", "gordo/c"], downstreams) == []


def test_a_circuit_of_a_project_blocks_its_models_and_that_of_a_required_sink_all_of_them():
    assert blocks_of(PLANTS, ["gordo/a"], downstreams) == [Block("a", System.MODELS)]
    assert blocks_of(PLANTS, ["sink/required"], downstreams) == [Block("a", System.SINK), Block("b", System.SINK)]


def test_of_several_circuits_the_first_on_the_way_of_a_task_counts():
    opened = ["gordo/a", "sensors/influx", "sink/required"]

    assert blocks_of(PLANTS, opened, downstreams) == [Block("a", System.SENSORS), Block("b", System.SENSORS)]
    assert blocks_of(PLANTS, opened[::2], downstreams) == [Block("a", System.MODELS), Block("b", System.SINK)]


def test_of_several_sources_only_models_that_are_read_from_one_are_blocked_by_it():
    influx, api = Group("a", ("sensors/influx",)), Group("a", ("sensors/api",))
    groups = Groups(["a"], ("sensors/api", "sensors/influx"), {1: influx, 2: api, 3: influx})

    blocks = blocks_of(groups, ["sensors/influx"], downstreams)

    assert Block("a", System.SENSORS, [1, 3]) in blocks
    assert all(2 not in (block.models or ()) for block in blocks)


async def test_what_was_counted_is_added_to_the_metric_by_project_and_cause():
    ledger, clock, registry = MemoryFreshness(), ManualClock(), CollectorRegistry()
    ledger.added = {("a", FRESH): 90 * SECOND, ("a", Cause.GORDO): 30 * SECOND}
    counter = a_counter(ledger, clock, registry)

    await counter.count(TERM, [], plans=True, full=False)
    await counter.count(TERM, [], plans=True, full=False)

    seconds = {
        cause: registry.get_sample_value("latigo_model_seconds_total", {"project": "a", "cause": cause})
        for cause in (FRESH, Cause.GORDO)
    }
    assert seconds == {FRESH: 180, Cause.GORDO: 60}


async def test_it_is_due_every_few_seconds_and_at_once_for_a_scheduler_that_plans_anew():
    ledger, clock = MemoryFreshness(), ManualClock()
    counter = a_counter(ledger, clock)
    due = [counter.is_due]

    await counter.count(TERM, [], plans=True, full=False)
    due.append(counter.is_due)
    await clock.advance(EVERY - SECOND)
    due.append(counter.is_due)
    await clock.advance(SECOND)
    due.append(counter.is_due)
    await counter.count(TERM, [], plans=True, full=False)
    counter.forget()
    due.append(counter.is_due)

    assert due == [True, False, False, True, True]


async def test_sums_are_made_less_often_the_longer_they_take_and_count_until_the_next():
    ledger, clock = MemoryFreshness(), ManualClock()
    counter = a_counter(ledger, clock)

    await counter.sum_slots(TERM)
    await counter.sum_slots(TERM)
    assert ledger.sums == [EVERY + SUM_SLACK]

    async def slow(term: Term, valid_for: timedelta) -> None:  # noqa: ARG001 - the protocol's
        ledger.sums.append(valid_for)
        await clock.sleep(3 * SECOND)

    ledger.sum_slots = slow  # type: ignore[method-assign]
    await clock.advance(EVERY)
    summing = asyncio.create_task(counter.sum_slots(TERM))
    await clock.advance(3 * SECOND)
    await summing
    await clock.advance(EVERY)
    summing = asyncio.create_task(counter.sum_slots(TERM))
    await clock.advance(3 * SECOND)
    await summing

    assert ledger.sums[1:] == [EVERY + SUM_SLACK, 3 * SECOND / MOST_SHARE + SUM_SLACK]


async def test_counts_that_take_long_are_made_less_often_but_several_times_in_a_period():
    ledger, clock = MemoryFreshness(), ManualClock()
    counter = a_counter(ledger, clock)
    count = ledger.count

    async def slow(*arguments, **facts):
        await clock.sleep(10 * SECOND)
        return await count(*arguments, **facts)

    ledger.count = slow  # type: ignore[method-assign]
    for _ in range(2):
        counting = asyncio.create_task(counter.count(TERM, [], plans=True, full=False))
        await clock.advance(10 * SECOND)
        await counting

    await clock.advance(COUNT_WITHIN - 11 * SECOND)
    before = counter.is_due
    await clock.advance(SECOND)
    assert (before, counter.is_due) == (False, True)
