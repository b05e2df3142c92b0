"""The long-lived part of the scheduler, on a ledger in memory and a clock that is turned by hand."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry

from latigo.domain.circuits import System
from latigo.domain.errors import Unavailable
from latigo.domain.limits import Limits
from latigo.domain.model import ModelRef
from latigo.domain.schedule import Schedule
from latigo.domain.task import Lane, Task
from latigo.domain.windows import DAY, Window
from latigo.ledger.freshness import Block
from latigo.ledger.protocol import LeaseLost, Need, Term
from latigo.providers.protocols import ProjectModels
from latigo.runtime.clock import Clock
from latigo.scheduler import loop
from latigo.scheduler.freshness import EVERY, FreshnessCounter
from latigo.scheduler.groups import Sources
from latigo.scheduler.loop import LONGEST_RUN, Scheduler, SchedulerRules
from latigo.scheduler.model_sync import ModelSync
from latigo.scheduler.plan import Agenda
from latigo.scheduler.selection import Selection
from latigo.task_queue.envelope import HIGHEST, LOWEST
from latigo.telemetry.metrics import Metrics
from tests.support.build import HALF_HOUR, a_need, a_spec, bounds_of, window
from tests.support.clock import ManualClock
from tests.support.gordo_replay import DictRoster
from tests.support.memory_ledgers import MemoryFreshness, MemoryModels, MemoryPlanning, Row, a_circuit

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LIVE, BACK = window("11:30", "12:00"), window("09:00", "10:00")
LIVE_AND_BACK = {Lane.LIVE: LIVE, Lane.BACKFILL: BACK}


class Queue:
    """A `TaskSender` that takes a given number of tasks."""

    def __init__(self) -> None:
        self.channel = "queue-1"
        self.held: frozenset[int] | None = None
        self.sent: list[Task] = []
        self.room = 10_000
        self.unavailable = False
        self.publishings = 0
        self.versions: list[int] = []
        self.slow: asyncio.Event | None = None  # set while it takes nothing and does not answer

    async def publish(self, tasks: Sequence[Task], version: int) -> Mapping[int, str]:
        self.publishings += 1
        if self.unavailable:
            raise Unavailable("the queue is unavailable", downstream="queue")
        if self.slow is not None:
            await self.slow.wait()
        taken = list(tasks[: self.room])
        self.sent += taken
        self.versions.append(version)
        return {task.id: self.channel for task in taken}


class NoModels:
    """A `ModelInformationProvider` that lists nothing, or is unavailable; records the time of its calls, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls: list[int] = []
        self.unavailable = False

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:  # noqa: ARG002 - the protocol's
        self.calls.append(round(self._clock.monotonic()))
        error = Unavailable("503", downstream="gordo/plant") if self.unavailable else None
        return [ProjectModels("plant", "1000", error=error)]


class Harness:
    """A plant of models that need something, and any number of schedulers."""

    def __init__(self, *, models: int = 3, projects: Iterable[str] = ("plant",), back: bool = False) -> None:
        self.clock = ManualClock()
        self.projects = sorted(projects)
        self.ledger = MemoryPlanning(
            self.clock,
            [
                a_need(number, ModelRef(project, f"model-{number}"), LIVE_AND_BACK if back else {Lane.LIVE: LIVE})
                for number, project in enumerate((p for p in self.projects for _ in range(models)), 1)
            ],
        )
        self.sources = Sources(["sensors/influx"], lambda _: ["sensors/influx"])
        self.freshness = MemoryFreshness()
        self.queue = Queue()
        self.models = NoModels(self.clock)
        self.known = MemoryModels(self.clock)
        self.metrics = Metrics(CollectorRegistry(), self.clock)

    def scheduler(
        self,
        holder: str = "scheduler-1",
        *,
        max_outstanding: int = 0,
        lease: timedelta = 15 * SECOND,
        sweep: Sequence[timedelta] = (),
    ) -> Scheduler:
        return Scheduler(
            rules=SchedulerRules(
                holder=holder,
                version="test",
                lease=lease,
                renew=5 * SECOND,
                max_clock_difference=30 * SECOND,
                refresh=5 * MINUTE,
                max_catch_up=30 * DAY,
                max_outstanding=max_outstanding,
                min_share=0.05,
                history=30 * DAY,
                sweep=sweep,
            ),
            ledger=self.ledger,
            sync=self._sync(),
            sender=self.queue,
            downstreams=lambda project: [f"gordo/{project}", "sink/postgres"],
            sources=self.sources,
            freshness=FreshnessCounter(self.freshness, None, self.clock, self.metrics),
            projects=self._projects,
            clock=self.clock,
            metrics=self.metrics,
        )

    async def _projects(self) -> Iterable[str]:
        return self.projects

    def _sync(self) -> ModelSync:
        return ModelSync(
            provider=self.models,  # type: ignore[arg-type]  # only its lists are used
            roster=DictRoster(),
            selection=Selection(("plant",)),
            ledger=self.known,
            schedule_of=lambda _: Schedule(HALF_HOUR, 5 * MINUTE, DAY, enabled=True),
            max_window=DAY,
            clock=self.clock,
            version="test",
        )

    def wait(self, *tasks: int) -> None:
        """Tasks that had been tried wait for another attempt."""
        for task_id in tasks:
            self.ledger.make_wait(task_id)

    def settle(self, *tasks: int) -> None:
        for task_id in tasks:
            row = self.ledger.rows.pop(task_id)
            self.ledger.desired = [need for need in self.ledger.desired if need.ref != row.task.ref]


@asynccontextmanager
async def running(harness: Harness, *schedulers: Scheduler) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for scheduler in schedulers:
            group.create_task(scheduler.run(stop))
        await harness.clock.advance(SECOND)
        yield
        stop.set()


# --- planning and publishing ------------------------------------------------------------------------------------------


async def test_what_is_needed_is_committed_then_published_then_marked():
    harness = Harness(models=2)

    async with running(harness, harness.scheduler()):
        log = [each for each in harness.ledger.log if each in {"plan", "unpublished", "mark_published"}]

    assert log[:3] == ["plan", "unpublished", "mark_published"]
    assert [task.window for task in harness.queue.sent] == [LIVE, LIVE]
    assert {row.channel for row in harness.ledger.rows.values()} == {"queue-1"}
    assert harness.ledger.in_state("published") == [1, 2]


async def test_tasks_of_one_round_carry_one_trace():
    harness = Harness(models=2)

    async with running(harness, harness.scheduler()):
        traces = {task.trace for task in harness.queue.sent}

    (trace,) = traces
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)


@pytest.mark.parametrize(
    ("readable", "version"),
    [(None, HIGHEST), (HIGHEST + 1, HIGHEST), (HIGHEST, HIGHEST), (HIGHEST - 1, HIGHEST - 1), (0, LOWEST)],
)
async def test_tasks_are_written_in_the_newest_version_that_every_executor_reads(readable: int | None, version: int):
    harness = Harness(models=1)
    harness.ledger.readable = readable

    async with running(harness, harness.scheduler()):
        pass

    assert harness.queue.versions == [version]


async def test_a_scheduler_that_loses_its_lease_stops_publishing_at_once():
    harness = Harness(models=2)
    harness.queue.slow = asyncio.Event()

    async with running(harness, harness.scheduler()):
        await harness.ledger.release_lease(Term("scheduler-1", 1))
        assert await harness.ledger.acquire_lease("scheduler-2", MINUTE) is not None
        await harness.clock.advance(5 * SECOND)
        harness.queue.slow.set()
        await harness.clock.advance(SECOND)

    assert harness.queue.sent == []
    assert harness.ledger.in_state("published") == []


@pytest.mark.parametrize("still_leads", [True, False])
async def test_an_answer_about_the_lease_that_comes_as_it_runs_out_stops_publishing_and_nothing_else(still_leads: bool):
    """As when the process stood still: the end of the lease and the answer are there in the same turn of the loop."""
    harness = Harness(models=2)
    harness.queue.slow = asyncio.Event()
    scheduler = harness.scheduler()
    acquire_lease = harness.ledger.acquire_lease

    async def held_up(holder: str, lease: timedelta) -> Term | None:
        harness.clock.jump(lease)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return await acquire_lease(holder, lease) if still_leads else None

    async with running(harness, scheduler):
        harness.ledger.acquire_lease = held_up  # type: ignore[method-assign]  # from the second time on
        await harness.clock.advance(5 * SECOND)
        during = list(harness.queue.sent)
        harness.ledger.acquire_lease = acquire_lease  # type: ignore[method-assign]  # as before
        harness.queue.slow.set()
        await harness.clock.advance(10 * SECOND)

    assert during == []
    assert {task.id for task in harness.queue.sent} == {1, 2}


async def test_publishing_ends_with_the_lease_while_the_ledger_does_not_answer():
    harness = Harness(models=2)
    harness.queue.slow = asyncio.Event()
    answers = asyncio.Event()
    acquire = harness.ledger.acquire_lease

    async def slow(holder: str, lease: timedelta) -> Term | None:
        await answers.wait()
        return await acquire(holder, lease)

    async with running(harness, harness.scheduler(lease=15 * SECOND)):
        harness.ledger.acquire_lease = slow  # type: ignore[method-assign]  # from the second time on
        await harness.clock.advance(15 * SECOND)
        harness.queue.slow.set()
        await harness.clock.advance(SECOND)
        during = list(harness.queue.sent)
        answers.set()

    assert during == []


async def test_publishing_goes_on_for_as_long_as_the_lease_is_renewed():
    harness = Harness(models=2)
    harness.queue.slow = asyncio.Event()

    async with running(harness, harness.scheduler(lease=15 * SECOND)):
        await harness.clock.advance(5 * MINUTE)
        harness.queue.slow.set()
        await harness.clock.advance(SECOND)

    assert [task.id for task in harness.queue.sent] == [1, 2]
    assert harness.queue.publishings == 1


async def test_what_is_out_is_not_published_again():
    harness = Harness(models=2)

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(MINUTE)

    assert [task.id for task in harness.queue.sent] == [1, 2]


async def test_what_was_committed_and_not_marked_is_published_again():
    harness = Harness(models=0)
    harness.ledger.rows[7] = Row(Task(7, 1, a_spec(), LIVE, 1800, Lane.LIVE))

    async with running(harness, harness.scheduler()):
        pass

    assert [task.id for task in harness.queue.sent] == [7]
    assert harness.ledger.in_state("published") == [7]


async def test_a_task_of_a_request_that_is_tried_again_takes_its_place(monkeypatch: pytest.MonkeyPatch):
    harness = Harness(models=0)
    harness.ledger.desired = [a_need(2, ModelRef("plant", "model-2"), {Lane.MANUAL: LIVE}, request=5)]
    harness.ledger.rows[7] = Row(Task(7, 1, a_spec(), LIVE, 1800, Lane.MANUAL))
    harness.ledger.make_wait(7)
    harness.ledger.room = {5: 1}
    wake = harness.ledger._wake

    def take_the_place(task_id: int) -> None:
        harness.ledger.room = {5: 0}
        wake(task_id)

    monkeypatch.setattr(harness.ledger, "_wake", take_the_place)

    async with running(harness, harness.scheduler()):
        pass

    assert [task.id for task in harness.queue.sent] == [7]


async def test_what_the_queue_did_not_take_goes_out_once_it_has_room():
    harness = Harness(models=4)
    harness.queue.room = 0

    async with running(harness, harness.scheduler()):
        marked = harness.ledger.in_state("published")
        harness.queue.room = 3
        await harness.clock.advance(SECOND)
        most = [task.id for task in harness.queue.sent]
        await harness.clock.advance(SECOND)

    assert (marked, most) == ([], [1, 2, 3])
    assert [task.id for task in harness.queue.sent] == [1, 2, 3, 4]


async def test_many_tasks_are_published_and_marked_in_parts_in_one_round(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "PUBLISHED_AT_ONCE", 2)
    harness = Harness(models=5)
    term = await harness.ledger.acquire_lease("scheduler-1", MINUTE)
    assert term is not None

    assert await harness.scheduler().plan_once(term) == 5

    assert [task.id for task in harness.queue.sent] == [1, 2, 3, 4, 5]
    assert harness.queue.publishings == 3
    assert harness.ledger.in_state("published") == [1, 2, 3, 4, 5]


async def test_a_queue_that_takes_no_more_gets_no_further_part_in_that_round(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "PUBLISHED_AT_ONCE", 2)
    harness = Harness(models=5)
    harness.queue.room = 1
    term = await harness.ledger.acquire_lease("scheduler-1", MINUTE)
    assert term is not None

    assert await harness.scheduler().plan_once(term) == 1

    assert [task.id for task in harness.queue.sent] == [1]
    assert harness.queue.publishings == 1


async def test_only_what_the_queue_took_is_counted_as_planned():
    harness = Harness(models=3)
    harness.queue.room = 0

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(5 * SECOND)
        harness.queue.room = 10
        await harness.clock.advance(SECOND)

    (family,) = harness.metrics.tasks_planned.collect()
    assert sum(sample.value for sample in family.samples if sample.name.endswith("_total")) == 3


async def test_slots_that_expire_are_counted():
    harness = Harness()
    harness.ledger.expired = {ModelRef("plant", "model-1"): 3, ModelRef("plant", "model-2"): 2}

    async with running(harness, harness.scheduler()):
        (family,) = harness.metrics.slots.collect()

    labels = {"project": "plant", "lane": "backfill", "outcome": "expired"}
    assert [sample.value for sample in family.samples if sample.labels == labels and sample.name.endswith("total")] == [
        5
    ]


async def test_no_more_is_out_than_may_be_and_settling_makes_room():
    harness = Harness(models=10)

    async with running(harness, harness.scheduler(max_outstanding=4)):
        await harness.clock.advance(10 * SECOND)
        first = len(harness.queue.sent)
        harness.settle(1, 2)
        await harness.clock.advance(SECOND)

    assert (first, len(harness.queue.sent)) == (4, 6)


async def test_limits_that_are_changed_meanwhile_hold_from_the_next_round_on():
    harness = Harness(models=20)

    async with running(harness, harness.scheduler(max_outstanding=4)):
        await harness.clock.advance(5 * SECOND)
        configured = len(harness.queue.sent)
        harness.ledger.limits = Limits(outstanding=7)
        await harness.clock.advance(3 * SECOND)
        raised = len(harness.queue.sent)
        harness.ledger.limits = Limits()
        harness.settle(1, 2)
        await harness.clock.advance(3 * SECOND)

    assert (configured, raised, len(harness.queue.sent)) == (4, 7, 7)  # of which 5 are out


async def test_while_backfill_is_paused_live_goes_on():
    harness = Harness(models=4, back=True)
    harness.ledger.limits = Limits(backfill_paused=True)

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(5 * SECOND)
        paused = [task.lane for task in harness.queue.sent]
        harness.ledger.limits = Limits()
        await harness.clock.advance(20 * SECOND)

    assert paused == [Lane.LIVE] * 4
    assert [task.lane for task in harness.queue.sent[4:]] == [Lane.BACKFILL] * 4


async def test_the_share_of_backfill_that_is_changed_meanwhile_holds_from_the_next_round_on():
    harness = Harness(models=10)
    half = [a_need(n.model_id, n.ref, {Lane.BACKFILL: BACK}) for n in harness.ledger.desired[5:]]
    harness.ledger.desired = [*harness.ledger.desired[:5], *half]
    harness.ledger.limits = Limits(backfill_share=0.5)

    async with running(harness, harness.scheduler(max_outstanding=4)):
        await harness.clock.advance(5 * SECOND)

    assert Counter(task.lane for task in harness.queue.sent) == {Lane.LIVE: 2, Lane.BACKFILL: 2}


async def test_backfill_is_planned_in_runs_of_a_model_within_its_room():
    harness = Harness(models=3, back=True)
    harness.ledger.desired = [a_need(n.model_id, n.ref, {Lane.BACKFILL: BACK}) for n in harness.ledger.desired]
    older = [Window(BACK.start - (n + 1) * 2 * HALF_HOUR, BACK.start - n * 2 * HALF_HOUR) for n in range(12)]
    harness.ledger.further = {1: older, 2: older[:2]}

    async with running(harness, harness.scheduler(max_outstanding=40)):
        await harness.clock.advance(SECOND / 2)

    planned = [(row.task.ref.name, row.task.window) for row in harness.ledger.rows.values()]
    assert planned == [
        *(("model-1", window) for window in (BACK, *older[: LONGEST_RUN - 1])),
        *(("model-2", window) for window in (BACK, *older[:2])),
        ("model-3", BACK),
    ]


async def test_models_take_turns_with_their_runs_of_backfill_however_old_their_gaps_are():
    harness = Harness(models=3)
    gaps = [window(f"0{hour}:00", f"0{hour}:30") for hour in (9, 8, 1)]
    harness.ledger.desired = [
        need._replace(bounds=bounds_of({Lane.BACKFILL: gap}))
        for need, gap in zip(harness.ledger.desired, gaps, strict=True)
    ]
    planned = []

    async with running(harness, harness.scheduler(max_outstanding=2)):
        for _ in range(4):
            planned += [row.task.ref.name for row in harness.ledger.rows.values()]
            await harness.clock.advance(loop.REREAD)  # so that the needs are read anew
            harness.ledger.rows.clear()
            await harness.clock.advance(SECOND)

    assert planned == ["model-1", "model-2", "model-3", "model-1"]


async def test_runs_that_had_no_room_are_planned_next_without_reading_the_needs_again():
    harness = Harness(models=3)
    harness.ledger.desired = [need._replace(bounds=bounds_of({Lane.BACKFILL: BACK})) for need in harness.ledger.desired]
    harness.ledger.further = {
        1: [Window(BACK.start - (n + 1) * HALF_HOUR, BACK.start - n * HALF_HOUR) for n in range(7)]
    }

    async with running(harness, harness.scheduler(max_outstanding=16)):
        first = [row.task.ref.name for row in harness.ledger.rows.values()]
        harness.ledger.rows.clear()
        await harness.clock.advance(SECOND)

    assert first == ["model-1"] * LONGEST_RUN
    assert [row.task.ref.name for row in harness.ledger.rows.values()] == ["model-2", "model-3"]
    assert harness.ledger.log.count("needs") == 1


async def test_a_run_for_a_request_is_no_longer_than_the_request_has_room():
    harness = Harness(models=1)
    harness.ledger.desired = [
        need._replace(bounds=bounds_of({Lane.MANUAL: BACK}), request=7) for need in harness.ledger.desired
    ]
    harness.ledger.further = {
        1: [Window(BACK.start - (n + 1) * HALF_HOUR, BACK.start - n * HALF_HOUR) for n in range(7)]
    }
    harness.ledger.room = {7: 3}

    async with running(harness, harness.scheduler(max_outstanding=40)):
        await harness.clock.advance(SECOND / 2)

    assert [row.task.lane for row in harness.ledger.rows.values()] == [Lane.MANUAL] * 3


async def test_backfill_takes_at_most_half_of_the_room():
    harness = Harness(models=10, back=True)
    harness.ledger.desired = [a_need(n.model_id, n.ref, {Lane.BACKFILL: BACK}) for n in harness.ledger.desired]

    async with running(harness, harness.scheduler(max_outstanding=8)):
        await harness.clock.advance(5 * SECOND)

    assert [task.lane for task in harness.queue.sent] == [Lane.BACKFILL] * 4


async def test_tasks_that_waited_long_enough_go_out_before_new_ones():
    harness = Harness(models=3)

    async with running(harness, harness.scheduler(max_outstanding=1)):
        harness.wait(1)
        await harness.clock.advance(SECOND)

    assert [task.id for task in harness.queue.sent] == [1, 1]


async def test_what_was_lost_with_its_queue_is_published_again():
    harness = Harness(models=1)
    async with running(harness, harness.scheduler()):
        pass

    harness.queue.channel = "queue-2"
    async with running(harness, harness.scheduler()):
        await harness.clock.advance(5 * SECOND)

    assert [task.id for task in harness.queue.sent] == [1, 1]


async def test_an_unavailable_queue_is_retried_and_nothing_is_marked():
    harness = Harness(models=1)
    harness.queue.unavailable = True

    async with running(harness, harness.scheduler()):
        marked = harness.ledger.in_state("published")
        harness.queue.unavailable = False
        await harness.clock.advance(SECOND)

    assert marked == []
    assert [task.id for task in harness.queue.sent] == [1]


# --- when models are listed -------------------------------------------------------------------------------------------


def pauses(times: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(times)]


async def test_models_are_listed_at_once_and_then_as_often_as_the_settings_say():
    harness = Harness()

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(15 * MINUTE)

    assert pauses(harness.models.calls) == [300, 300, 300]


async def test_what_could_not_be_listed_is_retried_with_growing_pauses():
    harness = Harness()
    harness.models.unavailable = True

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(20 * MINUTE)

    assert pauses(harness.models.calls) == [10, 20, 40, 80, 160, 300, 300]


async def test_a_model_server_that_was_unavailable_for_a_moment_is_retried_soon_the_next_time_too():
    harness = Harness()
    harness.models.unavailable = True

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(5 * SECOND)
        harness.models.unavailable = False
        await harness.clock.advance(5 * MINUTE + 20 * SECOND)
        harness.models.unavailable = True
        await harness.clock.advance(5 * MINUTE)

    assert pauses(harness.models.calls) == [10, 300, 300, 10]


async def test_a_ledger_that_was_unavailable_while_models_were_listed_is_retried_soon():
    harness = Harness()
    harness.known.unavailable = True

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(5 * SECOND)
        harness.known.unavailable = False
        await harness.clock.advance(30 * SECOND)

    assert pauses(harness.models.calls) == [10]


async def test_the_metadata_of_a_changed_model_is_refreshed_soon():
    harness = Harness()

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(MINUTE)
        harness.ledger.stale = True
        await harness.clock.advance(10 * SECOND)
        harness.ledger.stale = False
        await harness.clock.advance(MINUTE)

    assert pauses(harness.models.calls) == [pytest.approx(70, abs=2)]


async def test_a_model_that_changes_during_a_refresh_is_refreshed_soon_too():
    harness = Harness()

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(MINUTE)
        harness.ledger.stale = True
        await harness.clock.advance(20 * SECOND)
        harness.ledger.stale = False
        await harness.clock.advance(MINUTE)

    assert pauses(harness.models.calls) == [pytest.approx(seconds, abs=2) for seconds in (70, 10)]


async def test_a_changed_model_that_cannot_be_refreshed_is_retried_with_growing_pauses():
    harness = Harness()

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(MINUTE)
        harness.ledger.stale = harness.models.unavailable = True
        await harness.clock.advance(6 * MINUTE)

    assert pauses(harness.models.calls)[1:] == [10, 20, 40, 80, 160]


# --- the lease --------------------------------------------------------------------------------------------------------


async def test_only_the_one_with_the_lease_plans_and_lists():
    harness = Harness()
    first, second = harness.scheduler("one"), harness.scheduler("two")

    async with running(harness, first, second):
        await harness.clock.advance(MINUTE)
        assert (first.plans, second.plans) == (True, False)

    assert len(harness.queue.sent) == 3
    assert len(harness.models.calls) == 1


async def test_another_scheduler_takes_over_at_once_when_the_planner_stops():
    harness = Harness(models=0)
    standby = harness.scheduler("two")

    async with running(harness, standby):
        pass
    async with running(harness, harness.scheduler("one")):
        assert harness.ledger.holder == "one"
    async with running(harness, standby):
        assert standby.plans


async def test_another_takes_over_when_the_lease_runs_out():
    harness = Harness(models=1)
    harness.ledger.holder, harness.ledger.term = "dead", 3
    harness.ledger.lease_until = harness.clock.now() + 12 * SECOND
    scheduler = harness.scheduler("heir")

    async with running(harness, scheduler):
        await harness.clock.advance(9 * SECOND)
        early = list(harness.queue.sent)
        await harness.clock.advance(7 * SECOND)

    assert early == []
    assert harness.ledger.term == 4
    assert [task.id for task in harness.queue.sent] == [1]


async def test_a_scheduler_that_lost_the_lease_stops_at_once():
    harness = Harness(models=2)
    scheduler = harness.scheduler("one", max_outstanding=1)

    async with running(harness, scheduler):
        assert scheduler.plans
        harness.ledger.holder, harness.ledger.term = "other", 99
        harness.settle(1)
        await harness.clock.advance(SECOND)
        assert not scheduler.plans
        harness.ledger.log.clear()
        await harness.clock.advance(3 * SECOND)

    assert [task.id for task in harness.queue.sent] == [1]
    assert not {"plan", "unpublished", "recover"} & set(harness.ledger.log)


async def test_a_scheduler_that_has_the_lease_again_plans_nothing_from_what_it_read_before():
    harness = Harness(models=3)
    needed, harness.ledger.desired = harness.ledger.desired, []

    async with running(harness, harness.scheduler("one", max_outstanding=1)):
        await harness.clock.advance(2 * SECOND)
        harness.ledger.desired = needed
        await harness.clock.advance(SECOND)
        harness.ledger.holder = "other"
        await harness.clock.advance(2 * SECOND)
        harness.settle(1)
        harness.ledger.log.clear()
        harness.ledger.lease_until = None
        await harness.clock.advance(6 * SECOND)

    assert [each for each in harness.ledger.log if each in {"needs", "plan"}] == ["needs", "plan"]


async def test_a_scheduler_that_cannot_reach_the_ledger_does_not_plan_until_it_has_the_lease_again():
    harness = Harness(models=1)
    scheduler = harness.scheduler()

    async with running(harness, scheduler):
        harness.ledger.unavailable = True
        await harness.clock.advance(6 * SECOND)
        assert not scheduler.plans
        harness.ledger.unavailable = False
        await harness.clock.advance(6 * SECOND)
        assert scheduler.plans


async def test_crashes_are_forgiven_once_a_term_even_if_the_ledger_was_unavailable_at_first():
    harness = Harness(models=0)
    scheduler = harness.scheduler()
    attempts = 0
    forgive = harness.ledger.forgive_crashes

    async def forgive_later(version: str) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise Unavailable("the ledger is unavailable", downstream="ledger")
        return await forgive(version)

    harness.ledger.forgive_crashes = forgive_later  # type: ignore[method-assign]  # unavailable for this one call

    async with running(harness, scheduler):
        await harness.clock.advance(30 * SECOND)

    assert attempts == 2
    assert harness.ledger.log.count("forgive_crashes") == 1


async def test_sweeps_are_begun_again_and_again_while_they_are_on():
    harness = Harness()

    async with running(harness, harness.scheduler(sweep=[6 * MINUTE])):
        await harness.clock.advance(3 * MINUTE)

    assert harness.ledger.log.count("begin_sweep") >= 3
    assert "end_sweeps" not in harness.ledger.log


async def test_while_they_are_off_what_is_left_of_them_is_ended_also_when_executors_add_to_it():
    harness = Harness()

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(3 * MINUTE)

    assert harness.ledger.log.count("end_sweeps") >= 3
    assert "begin_sweep" not in harness.ledger.log


async def test_a_bug_of_ours_ends_the_role():
    harness = Harness()

    async def broken(max_catch_up: timedelta) -> Sequence[Need]:  # noqa: ARG001 - as the protocol has it
        raise KeyError("bug")

    harness.ledger.needs = broken  # type: ignore[method-assign]  # a bug

    with pytest.RaisesGroup(pytest.RaisesGroup(KeyError)):
        async with running(harness, harness.scheduler()):
            await harness.clock.advance(SECOND)


async def test_planning_with_a_term_that_is_over_is_refused():
    """The double does what the real ledger does; else the tests above would prove nothing."""
    harness = Harness()
    term = await harness.ledger.acquire_lease("one", 15 * SECOND)
    assert term is not None
    await harness.clock.advance(15 * SECOND)

    with pytest.raises(LeaseLost):
        await harness.ledger.plan(term, [])
    with pytest.raises(LeaseLost):
        await harness.ledger.unpublished(Term("one", 0), 10)


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("skew", "plans"), [(30, True), (31, False), (-30, True), (-31, False)])
async def test_planning_stops_while_the_clocks_are_further_apart_than_allowed(skew: int, plans: bool):
    harness = Harness(models=1)
    harness.ledger.skew = skew * SECOND
    scheduler = harness.scheduler()

    async with running(harness, scheduler):
        assert scheduler.plans is plans

    assert bool(harness.queue.sent) is plans


async def test_planning_goes_on_when_the_clocks_agree_again():
    harness = Harness(models=1)
    harness.ledger.skew = timedelta(hours=1)
    scheduler = harness.scheduler()

    async with running(harness, scheduler):
        harness.ledger.skew = timedelta(0)
        await harness.clock.advance(MINUTE)
        assert scheduler.plans

    assert len(harness.queue.sent) == 1


# --- open circuits ----------------------------------------------------------------------------------------------------


async def test_while_a_circuit_is_open_its_project_sends_one_probe_once_it_is_due_and_others_go_on():
    harness = Harness(models=3, projects=["a", "b"])
    harness.ledger.board.set(a_circuit("gordo/a"))

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(10 * SECOND)
        before = [task.ref.project for task in harness.queue.sent]
        await harness.clock.advance(MINUTE)

    probes = [task for task in harness.queue.sent if task.ref.project == "a"]
    assert before == ["b"] * 3
    assert [task.probe for task in probes] == [True]


@pytest.mark.parametrize(("many", "in_thread"), [(10_000, False), (1, True)])
async def test_a_long_agenda_is_worked_on_in_a_thread_and_the_same_goes_out(
    monkeypatch: pytest.MonkeyPatch, many: int, in_thread: bool
):
    threads: dict[str, bool] = {}

    def recorded(name: str) -> Callable[..., object]:
        work = getattr(Agenda, name)

        def run(*arguments: object) -> object:
            threads[name] = threading.current_thread() is not threading.main_thread()
            return work(*arguments)

        return run

    for name in ("drop", "take", "take_probe"):
        monkeypatch.setattr(Agenda, name, recorded(name))
    monkeypatch.setattr(loop, "MANY_NEEDS", many)
    monkeypatch.setattr(loop, "MANY_TASKS", many)
    harness = Harness(models=2, projects=["a", "b", "c"], back=True)
    harness.ledger.board.set(a_circuit("gordo/a"))
    await harness.clock.advance(MINUTE)
    term = await harness.ledger.acquire_lease("scheduler-1", MINUTE)
    assert term is not None

    published = await harness.scheduler().plan_once(term)

    assert [(task.ref.name, task.lane, task.probe) for task in harness.queue.sent] == [
        ("model-1", Lane.LIVE, True),
        *((f"model-{number}", Lane.LIVE, False) for number in (3, 5, 4, 6)),
        *((f"model-{number}", Lane.BACKFILL, False) for number in (3, 5, 4, 6)),
    ]
    assert published == len(harness.queue.sent)
    assert threads == dict.fromkeys(("drop", "take", "take_probe"), in_thread)


async def test_when_the_circuit_closes_all_its_work_goes_out():
    harness = Harness(models=3, projects=["a"])
    harness.ledger.board.set(a_circuit("gordo/a"))

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(20 * SECOND)
        harness.settle(1)
        harness.ledger.board.open.clear()
        await harness.clock.advance(11 * SECOND)

    assert [(task.ref.name, task.probe) for task in harness.queue.sent] == [
        ("model-1", True),
        ("model-2", False),
        ("model-3", False),
    ]


async def test_one_project_probes_what_all_share_and_another_one_if_that_has_nothing_to_do():
    harness = Harness(models=1, projects=["a", "b", "c"])
    harness.ledger.desired = harness.ledger.desired[1:]
    harness.ledger.board.set(a_circuit("sink/postgres"))

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(20 * SECOND)

    assert [(task.ref.project, task.probe) for task in harness.queue.sent] == [("b", True)]


async def test_a_task_that_waits_is_the_probe_of_a_project_that_has_nothing_else():
    harness = Harness(models=2, projects=["a"])

    async with running(harness, harness.scheduler()):
        harness.wait(1, 2)
        harness.ledger.board.set(a_circuit("sink/postgres"))
        await harness.clock.advance(10 * SECOND)
        early = len(harness.queue.sent)
        await harness.clock.advance(10 * SECOND)

    assert early == 2
    assert [(task.id, task.probe) for task in harness.queue.sent[2:]] == [(1, True)]


# --- several sources --------------------------------------------------------------------------------------------------


def with_two_sources(harness: Harness, **tags: str) -> None:
    """Tags that begin with P are in InfluxDB, others in an API; model numbers are written ``model_1``."""
    harness.sources = Sources(
        ["sensors/influx", "sensors/api"],
        lambda tags: {"sensors/influx" if tag.startswith("P") else "sensors/api" for tag in tags},
    )
    harness.ledger.tags = {int(name.removeprefix("model_")): tuple(names.split()) for name, names in tags.items()}


async def test_a_source_that_is_unavailable_stops_only_the_models_that_are_read_from_it():
    harness = Harness(models=4, projects=["a"])
    with_two_sources(harness, model_1="PT-1 TT-1", model_2="TT-2", model_3="PT-3", model_4="TT-4")
    harness.ledger.board.set(a_circuit("sensors/influx"))

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(10 * SECOND)
        before = [task.ref.name for task in harness.queue.sent]
        await harness.clock.advance(MINUTE)

    assert before == ["model-2", "model-4"]
    assert [(task.ref.name, task.probe) for task in harness.queue.sent[2:]] == [("model-1", True)]


async def test_tasks_that_wait_go_on_unless_their_source_is_unavailable_and_one_of_those_probes_it():
    harness = Harness(models=2, projects=["a"])
    with_two_sources(harness, model_1="TT-1", model_2="PT-2")

    async with running(harness, harness.scheduler()):
        harness.wait(1, 2)
        harness.ledger.board.set(a_circuit("sensors/influx"))
        await harness.clock.advance(10 * SECOND)
        before = [(task.ref.name, task.probe) for task in harness.queue.sent[2:]]
        await harness.clock.advance(10 * SECOND)

    assert before == [("model-1", False)]
    assert [(task.ref.name, task.probe) for task in harness.queue.sent[3:]] == [("model-2", True)]


async def test_a_model_whose_tags_change_needs_other_sources_from_then_on():
    harness = Harness(models=1, projects=["a"])
    with_two_sources(harness, model_1="PT-1")
    harness.ledger.board.set(a_circuit("sensors/influx", pause=60 * MINUTE))

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(20 * SECOND)
        before = len(harness.queue.sent)
        harness.ledger.tags = {1: ("TT-1",)}
        harness.ledger.raise_epoch("model-1")
        await harness.clock.advance(20 * SECOND)

    assert before == 0
    assert [(task.ref.name, task.probe) for task in harness.queue.sent] == [("model-1", False)]


async def test_tags_are_not_read_while_every_source_answers():
    harness = Harness(models=1, projects=["a"])
    with_two_sources(harness, model_1="PT-1")
    harness.ledger.board.set(a_circuit("gordo/a"))

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(10 * SECOND)

    assert "changed_tags" not in harness.ledger.log
    assert harness.queue.sent == []


async def test_a_scheduler_counts_freshness_before_it_plans_and_now_and_then_with_what_is_blocked():
    harness = Harness(models=2, projects=["a", "b"])
    harness.ledger.board.set(a_circuit("gordo/a", pause=60 * MINUTE))

    async with running(harness, harness.scheduler(max_outstanding=1), harness.scheduler("scheduler-2")):
        await harness.clock.advance(2 * SECOND)
        first, sent = list(harness.freshness.counts), len(harness.queue.sent)
        await harness.clock.advance(EVERY)

    assert first == [([Block("a", System.MODELS)], True, False)]  # the standby does not count
    assert sent == 1
    assert harness.freshness.counts[1:] == [([Block("a", System.MODELS)], True, True)]  # no more may be outstanding


async def test_a_scheduler_that_may_not_plan_counts_all_the_same_and_says_so():
    harness = Harness()
    harness.ledger.skew = 60 * MINUTE

    async with running(harness, harness.scheduler()):
        await harness.clock.advance(2 * SECOND)

    assert harness.freshness.counts == [([], False, False)]
