"""The long-lived part of the executor, on a plant in memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Failed, Reason, Rejected, Unavailable
from latigo.domain.lane_share import LaneShare
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Deferred, Outcome, Retry, Stored
from latigo.domain.outcome import Rejected as RejectedTask
from latigo.domain.task import Task
from latigo.executor.circuits import CircuitRules
from latigo.executor.gate import Gate
from latigo.executor.loop import HAND_BACK, Executor, ExecutorRules
from latigo.ledger.protocol import ExecutorInfo
from latigo.task_queue.protocol import Delivery
from tests.support.build import a_spec, a_task, window
from tests.support.memory_plant import Plant
from tests.support.waiting import eventually

SECOND = timedelta(seconds=1)
ASKED = window("10:00", "11:00")
PUMP = ModelRef("plant", "model-1")


@dataclass(eq=False)
class Watched:
    """A delivery that tells the log when it is done."""

    task: Task
    log: list[tuple[str, int]]

    async def done(self) -> None:
        self.log.append(("done", self.task.id))


class World(Plant):
    """A plant, a queue and an executor that works on them."""

    def __init__(self, *, concurrency: int = 4, grace: timedelta = HAND_BACK, **options: Any) -> None:
        super().__init__(**options)
        self.queue: asyncio.Queue[Watched] = asyncio.Queue()
        self.log = self.ledger.log
        self.log_when_left: list[tuple[str, int]] | None = None  #: at the end of receiving
        self.described: list[ModelRef] = []
        self.spec_now: ModelSpec | Exception = a_spec("model-1")
        self.gate = Gate(concurrency, LaneShare())
        self.executor = Executor(
            info=ExecutorInfo("executor-1", "test", 1, 1, concurrency),
            rules=ExecutorRules(lease=30 * SECOND, renew=10 * SECOND, grace=grace),
            ledger=self.ledger,
            receiver=self,
            pipeline=self.pipeline,
            describe=self.describe,
            gate=self.gate,
            clock=self.clock,
            metrics=self.metrics,
        )

    async def receive(self) -> AsyncGenerator[Delivery]:
        try:
            while True:
                yield await self.queue.get()
        finally:
            self.log_when_left = list(self.log)

    async def describe(self, ref: ModelRef, revision: str) -> ModelSpec:  # noqa: ARG002 - as it is called
        self.described.append(ref)
        if isinstance(self.spec_now, Exception):
            raise self.spec_now
        return self.spec_now

    def send(self, *task_ids: int) -> None:
        for id_ in task_ids:
            self.queue.put_nowait(Watched(a_task(a_spec(f"model-{id_}"), ASKED, id=id_), self.log))

    def did(self, *what: str) -> list[tuple[str, int]]:
        return [entry for entry in self.log if not what or entry[0] in what]

    async def until(self, *what: tuple[str, int]) -> None:
        await eventually(lambda: set(what) <= set(self.log), what=f"{what} in {self.log}")


@asynccontextmanager
async def running(world: World) -> AsyncIterator[asyncio.Event]:
    """The executor at work; it is told to stop at the end, and has to."""
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(world.executor.run(stop))
        yield stop
        stop.set()


def held(world: World) -> asyncio.Event:
    """From now on the model server answers when it is told to."""
    event = asyncio.Event()
    world.models.hold = lambda _: event
    return event


# --- the order --------------------------------------------------------------------------------------------------------


async def test_a_task_is_claimed_then_written_then_settled_then_done():
    world = World()
    for number, store in enumerate(world.stores):
        put = store.put_predictions

        async def noted(predictions, put=put, number=number):
            world.log.append(("write", number))
            return await put(predictions)

        store.put_predictions = noted  # type: ignore[method-assign]  # to see when
    world.send(7)

    async with running(world):
        await world.until(("done", 7))

    assert world.log == [("claim", 7), ("write", 0), ("write", 1), ("settle", 7), ("done", 7)]
    settlement = world.ledger.ended[7]
    assert isinstance(settlement, Stored)
    assert settlement.covered == Coverage((ASKED,))


async def test_a_task_that_cannot_be_claimed_is_done_without_work():
    world = World()
    world.ledger.refused.add(7)
    world.send(7)

    async with running(world):
        await world.until(("done", 7))

    assert world.log == [("done", 7)]
    assert world.models.calls == []


async def test_a_task_that_fails_is_settled_as_such_and_done_and_the_others_go_on():
    world = World()
    world.models.errors = [KeyError("bug"), Unavailable("503", downstream="gordo/plant")]
    world.send(1, 2, 3)

    async with running(world):
        await world.until(("done", 1), ("done", 2), ("done", 3))

    ends = sorted(settlement.outcome for settlement in world.ledger.ended.values())
    assert ends == sorted([Outcome.CRASHED, Outcome.DEFERRED, Outcome.STORED])


async def test_what_other_sinks_already_have_is_not_written_again():
    world = World()
    world.ledger.stored_in[7] = frozenset({"sink/first"})
    world.send(7)

    async with running(world):
        await world.until(("done", 7))

    assert [len(store.writes) for store in world.stores] == [0, 1]


async def test_a_task_beyond_the_hard_limit_is_ended_and_tried_again():
    world = World(hard_limit=timedelta(milliseconds=20))
    held(world)
    world.send(7)

    async with running(world):
        await world.until(("done", 7))

    settlement = world.ledger.ended[7]
    assert isinstance(settlement, Retry)
    assert "predict: took longer" in settlement.detail


async def test_waiting_for_a_turn_is_not_held_against_a_task():
    world = World(hard_limit=timedelta(milliseconds=300), calls=1)
    never, answered = asyncio.Event(), asyncio.Event()
    answered.set()
    world.models.hold = lambda ref: never if ref.name == "model-1" else answered
    world.send(1, 2, 3)

    async with running(world):
        await world.until(("done", 1), ("done", 2), ("done", 3))

    assert {id_: settlement.outcome for id_, settlement in world.ledger.ended.items()} == {
        1: Outcome.RETRY,
        2: Outcome.STORED,
        3: Outcome.STORED,
    }


async def test_a_server_that_holds_every_call_beyond_the_hard_limit_is_away_and_costs_few_attempts():
    world = World(hard_limit=timedelta(milliseconds=20), calls=1)
    held(world)
    world.send(*range(1, 13))

    async with running(world):
        await world.until(*(("done", id_) for id_ in range(1, 13)))

    assert [id_ for id_, settlement in world.ledger.ended.items() if settlement.outcome is Outcome.RETRY] == [1]
    assert world.board.is_open("gordo/plant")
    assert len(world.models.calls) == 1 + CircuitRules().failures


# --- the ledger is away -----------------------------------------------------------------------------------------------


async def test_it_waits_for_the_ledger_before_it_takes_anything():
    world = World()
    world.ledger.away = True
    world.send(7)

    async with running(world):
        await world.clock.advance(10 * SECOND)
        assert (world.queue.qsize(), world.log) == (1, [])
        world.ledger.away = False
        await world.clock.advance(SECOND)
        await world.until(("done", 7))
        assert world.ledger.known == {"executor-1"}

    assert world.ledger.known == set()


async def test_while_the_ledger_is_away_a_delivery_is_neither_forgotten_nor_done():
    world = World()

    async with running(world):
        await world.clock.advance(SECOND)
        world.ledger.away = True
        world.send(7)
        await world.clock.advance(timedelta(hours=1))
        assert world.log == []
        assert world.executor.overdue == []
        world.ledger.away = False
        await world.clock.advance(SECOND)
        await world.until(("done", 7))

    assert world.did() == [("claim", 7), ("settle", 7), ("done", 7)]


async def test_a_result_waits_for_the_ledger_and_is_recorded_when_it_is_back():
    world = World()
    answer = held(world)
    world.send(7)

    async with running(world):
        await eventually(lambda: world.models.calls)
        world.ledger.away = True
        answer.set()
        await world.clock.advance(timedelta(hours=1))
        assert world.did("settle", "done") == []
        assert world.executor.overdue == []
        world.ledger.away = False
        await world.clock.advance(SECOND)
        await world.until(("done", 7))

    assert len(world.models.calls) == 1
    assert world.ledger.ended[7].outcome is Outcome.STORED


async def test_a_task_that_is_worked_on_for_too_long_is_overdue():
    world = World()
    answer = held(world)
    world.send(7)

    async with running(world):
        await eventually(lambda: world.models.calls)
        on_time = world.executor.overdue
        await world.clock.advance(timedelta(minutes=16))
        assert (on_time, world.executor.overdue) == ([], ["task-7"])
        answer.set()
        await world.until(("done", 7))
        assert world.executor.overdue == []


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_what_is_in_hand_is_finished_within_the_grace_and_nothing_new_is_begun():
    world = World(grace=HAND_BACK + 10 * SECOND)
    answer = held(world)
    world.send(1, 2)

    async with running(world) as stop:
        await eventually(lambda: len(world.models.calls) == 2)
        stop.set()
        await asyncio.sleep(0)
        world.send(3)
        answer.set()

    assert sorted(world.did("settle", "done")) == [("done", 1), ("done", 2), ("settle", 1), ("settle", 2)]
    assert world.did("claim", "release") == [("claim", 1), ("claim", 2)]


async def test_what_is_not_finished_within_the_grace_is_handed_back_and_not_done():
    world = World(grace=HAND_BACK)
    held(world)
    world.send(1, 2)

    async with running(world):
        await eventually(lambda: len(world.models.calls) == 2)

    assert sorted(world.did()) == [("claim", 1), ("claim", 2), ("release", 1), ("release", 2)]
    assert world.ledger.held == {}
    assert world.ledger.known == set()


async def test_what_has_its_predictions_in_the_sinks_is_settled_and_not_handed_back():
    world = World(grace=HAND_BACK)
    may_settle = asyncio.Event()
    settle = world.ledger.settle

    async def slow(settlements):
        world.log.append(("settling", 1))
        await may_settle.wait()
        return await settle(settlements)

    world.ledger.settle = slow  # type: ignore[method-assign]  # takes its time
    world.send(1)

    async with running(world) as stop:
        await world.until(("settling", 1))
        stop.set()
        await eventually(lambda: world.queue.qsize() == 0)
        for _ in range(20):
            await asyncio.sleep(0)
        may_settle.set()

    assert world.did("settle", "release", "done") == [("settle", 1), ("done", 1)]


async def test_deliveries_that_were_not_started_are_left_alone():
    world = World(concurrency=1)
    held(world)
    world.send(1, 2, 3)

    async with running(world):
        await eventually(lambda: world.models.calls)

    assert world.did() == [("claim", 1), ("release", 1)]


async def test_the_queue_is_left_only_when_everything_that_was_begun_is_done():
    world = World(concurrency=1, grace=HAND_BACK + 10 * SECOND)
    answer = held(world)
    world.send(1, 2)

    async with running(world) as stop:
        await eventually(lambda: world.models.calls)
        stop.set()
        await eventually(world.queue.empty)
        answer.set()

    assert world.log_when_left == [("claim", 1), ("settle", 1), ("done", 1)]


async def test_a_receiver_that_breaks_ends_the_executor_which_hands_back_what_it_has():
    world = World()
    held(world)
    world.send(1)

    with pytest.RaisesGroup(pytest.RaisesGroup(ConnectionResetError)):
        async with running(world):
            await eventually(lambda: world.models.calls)
            world.queue.get = broken  # type: ignore[method-assign]  # what follows the delivery that is waited for
            world.send(99)
            await asyncio.Event().wait()

    assert ("release", 1) in world.log
    assert world.ledger.known == set()


async def broken() -> Watched:
    raise ConnectionResetError("no queue")


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_leases_are_renewed_while_a_task_is_worked_on():
    world = World()
    answer = held(world)
    renewed: list[int] = []
    renew = world.ledger.renew

    async def noted(claims, lease):
        renewed.extend(claim.task_id for claim in claims)
        return await renew(claims, lease)

    world.ledger.renew = noted  # type: ignore[method-assign]  # to see it
    world.send(7)

    async with running(world):
        await eventually(lambda: world.models.calls)
        await world.clock.advance(30 * SECOND)
        answer.set()
        await world.until(("done", 7))

    assert renewed == [7, 7, 7]


async def test_a_lost_claim_cancels_the_work_and_its_delivery_is_done():
    world = World()
    held(world)
    world.send(7)

    async with running(world):
        await eventually(lambda: world.models.calls)
        world.ledger.lost.add(7)
        await world.clock.advance(10 * SECOND)
        await world.until(("done", 7))
        assert world.gate.running == 0

    assert world.did("settle", "release") == []
    assert [store.writes for store in world.stores] == [[], []]


async def test_other_tasks_go_on_when_one_claim_is_lost():
    world = World()
    answer = held(world)
    world.send(1, 2)

    async with running(world):
        await eventually(lambda: len(world.models.calls) == 2)
        world.ledger.lost.add(1)
        await world.clock.advance(10 * SECOND)
        await world.until(("done", 1))
        answer.set()
        await world.until(("done", 2))

    assert world.did("settle") == [("settle", 2)]


async def test_while_leases_cannot_be_renewed_the_work_goes_on():
    world = World()
    answer = held(world)
    world.send(7)

    async with running(world):
        await eventually(lambda: world.models.calls)
        world.ledger.away = True
        await world.clock.advance(60 * SECOND)
        world.ledger.away = False
        answer.set()
        await world.clock.advance(SECOND)
        await world.until(("done", 7))

    assert world.ledger.ended[7].outcome is Outcome.STORED


# --- alone ------------------------------------------------------------------------------------------------------------


async def test_a_task_that_did_not_survive_before_runs_alone_and_counts_its_start():
    world = World()
    answers = {"model-1": asyncio.Event(), "model-2": asyncio.Event()}
    world.models.hold = lambda ref: answers[ref.name]
    world.ledger.alone.add(2)
    world.send(1, 2)

    async with running(world):
        await eventually(lambda: ("claim", 2) in world.log and world.models.calls)
        beside = [spec.ref.name for spec, *_ in world.models.calls]
        answers["model-1"].set()
        await eventually(lambda: len(world.models.calls) == 2)
        answers["model-2"].set()
        await world.until(("done", 2))

    assert beside == ["model-1"]
    assert world.did("settle", "start_isolated") == [("settle", 1), ("start_isolated", 2), ("settle", 2)]


async def test_a_task_that_was_lost_while_it_waited_to_run_alone_is_not_begun():
    world = World()
    world.ledger.alone.add(7)
    world.ledger.lost.add(7)
    world.send(7)

    async with running(world):
        await world.until(("done", 7))

    assert world.models.calls == []
    assert world.did("settle", "release") == []


# --- a model that has changed -----------------------------------------------------------------------------------------

REFUSED = Rejected("unexpected columns", reason=Reason.COLUMNS_REFUSED)


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (a_spec("model-1"), Outcome.REJECTED),
        (a_spec("model-1", tags=("a", "c")), Outcome.DEFERRED),
        (a_spec("model-1", model_offset=5), Outcome.DEFERRED),
        (replace(a_spec("model-1"), anomaly=False), Outcome.REJECTED),
        (Unavailable("503", downstream="gordo/plant"), Outcome.DEFERRED),
        (Failed("listed, not readable yet"), Outcome.DEFERRED),
        (Rejected("no tag_list", reason=Reason.BAD_METADATA), Outcome.REJECTED),
        (KeyError("bug"), Outcome.REJECTED),
    ],
)
async def test_when_columns_are_refused_the_metadata_is_read_again_first(now: ModelSpec | Exception, outcome: Outcome):
    world = World()
    world.models.errors = [REFUSED]
    world.spec_now = now
    world.send(1)

    async with running(world):
        await world.until(("done", 1))

    settlement = world.ledger.ended[1]
    assert settlement.outcome is outcome
    assert (isinstance(settlement, Deferred) and settlement.stale_metadata) == (outcome is Outcome.DEFERRED)
    assert world.described == [PUMP]


async def test_for_any_other_refusal_the_metadata_is_left_alone():
    world = World()
    world.models.errors = [Rejected("no", reason=Reason.VALUES_REFUSED)]
    world.send(1)

    async with running(world):
        await world.until(("done", 1))

    settlement = world.ledger.ended[1]
    assert isinstance(settlement, RejectedTask)
    assert settlement.reason is Reason.VALUES_REFUSED
    assert world.described == []


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_what_was_done_is_counted_by_project_lane_and_outcome():
    world = World()
    world.models.errors = [KeyError("bug")]
    world.send(1, 2)

    async with running(world):
        await world.until(("done", 1), ("done", 2))

    (tasks,) = world.metrics.tasks.collect()
    counted = {s.labels["outcome"]: s.value for s in tasks.samples if s.name.endswith("_total")}
    (slots,) = world.metrics.slots.collect()
    covered = [s.value for s in slots.samples if s.name.endswith("_total") and s.labels["outcome"] == "covered"]
    assert (counted, covered) == ({"crashed": 1, "stored": 1}, [2])
