"""The long-lived part of the executor, on a plant in memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Failed, Reason, Rejected, Unavailable
from latigo.domain.limits import Controls, Limits
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Deferred, Outcome, Retry, Stored
from latigo.domain.outcome import Rejected as RejectedTask
from latigo.domain.receipt import Stage
from latigo.domain.task import LedgerIdentity, Task
from latigo.executor.gate import Gate
from latigo.executor.loop import HAND_BACK, OVERDUE, REFRESH, Executor, ExecutorRules
from latigo.ledger.protocol import Claim, ExecutorInfo, Mismatch
from latigo.task_queue.protocol import Delivery
from tests.support.build import a_spec, a_task, circuit_rules, lane_share, window
from tests.support.memory_plant import Plant
from tests.support.waiting import eventually

SECOND = timedelta(seconds=1)
#: By the clock of the machine: long enough for all that comes before a call.
SHORTLY = timedelta(milliseconds=300)
REQUESTED = window("10:00", "11:00")
PUMP = ModelRef("plant", "model-1")


@dataclass(eq=False)
class Watched:
    """A delivery that logs when it is done."""

    task: Task
    log: list[tuple[str, int]]

    async def done(self) -> None:
        self.log.append(("done", self.task.id))


class Harness(Plant):
    """A plant, a queue and an executor that works on them."""

    def __init__(self, *, concurrency: int = 4, grace: timedelta = HAND_BACK, **options: Any) -> None:
        super().__init__(**options)
        self.queue: asyncio.Queue[Watched] = asyncio.Queue()
        self.log = self.ledger.log
        self.log_when_left: list[tuple[str, int]] | None = None  #: at the end of receiving
        self.received_for: int | None = None  #: so many tasks at once, as ordered
        self.takes_back = False
        self.described: list[ModelRef] = []
        self.spec_now: ModelSpec | Exception = a_spec("model-1")
        self.gate = Gate(concurrency, lane_share())
        self.executor = Executor(
            info=ExecutorInfo("executor-1", "test", 1, 1, concurrency),
            rules=ExecutorRules(lease=30 * SECOND, renew=10 * SECOND, grace=grace, min_share=0.05),
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

    def limit(self, concurrency: int) -> None:
        self.received_for = concurrency

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self.log.extend(("give back", delivery.task.id) for delivery in deliveries)

    async def describe(self, ref: ModelRef, revision: str) -> ModelSpec:  # noqa: ARG002 - as it is called
        self.described.append(ref)
        if isinstance(self.spec_now, Exception):
            raise self.spec_now
        return self.spec_now

    def send(self, *task_ids: int) -> None:
        self.ledger.add(*task_ids)
        for id_ in task_ids:
            self.queue.put_nowait(Watched(a_task(a_spec(f"model-{id_}"), REQUESTED, id=id_), self.log))

    def did(self, *what: str) -> list[tuple[str, int]]:
        return [entry for entry in self.log if not what or entry[0] in what]

    async def until(self, *what: tuple[str, int]) -> None:
        await eventually(lambda: set(what) <= set(self.log), what=f"{what} in {self.log}")


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[asyncio.Event]:
    """Run the executor; stop it at the end, and require that it stops."""
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(harness.executor.run(stop))
        yield stop
        stop.set()


def held(harness: Harness) -> asyncio.Event:
    """Hold the answers of the model server until the event is set."""
    event = asyncio.Event()
    harness.models.hold = lambda _: event
    return event


# --- the order --------------------------------------------------------------------------------------------------------


async def test_a_task_is_claimed_then_written_then_settled_then_done():
    harness = Harness()
    for number, store in enumerate(harness.stores):
        put = store.put_predictions

        async def noted(predictions, fence, put=put, number=number):
            harness.log.append(("write", number))
            return await put(predictions, fence)

        store.put_predictions = noted  # type: ignore[method-assign]  # to see when
    harness.send(7)

    async with running(harness):
        await harness.until(("done", 7))

    assert harness.log == [("claim", 7), ("write", 0), ("write", 1), ("settle", 7), ("done", 7)]
    settlement = harness.ledger.ended[7]
    assert isinstance(settlement, Stored)
    assert settlement.covered == Coverage((REQUESTED,))


async def test_every_stage_is_measured_and_no_other():
    harness = Harness()
    harness.send(7)

    async with running(harness):
        await harness.until(("done", 7))

    (family,) = harness.metrics.stage_seconds.collect()
    counts = {each.labels["stage"]: each.value for each in family.samples if each.name.endswith("_count")}
    assert counts == {**dict.fromkeys(get_args(Stage), 1), "write": 2}


async def test_a_task_that_cannot_be_claimed_is_done_without_work():
    harness = Harness()
    harness.ledger.refused.add(7)
    harness.send(7)

    async with running(harness):
        await harness.until(("done", 7))

    assert harness.log == [("done", 7)]
    assert harness.models.calls == []


async def test_a_message_that_contradicts_the_ledger_is_recorded_before_it_is_done_and_logged_once():
    harness = Harness()
    harness.ledger.add(7)
    foreign = LedgerIdentity(UUID(int=9), 1)
    for task in (a_task(id=8), a_task(id=9), a_task(id=7, ledger=foreign)):
        harness.queue.put_nowait(Watched(task, harness.log))

    with capture_logs() as log:
        async with running(harness):
            await harness.until(("done", 7), ("done", 8), ("done", 9))

    assert all(harness.log.index(("mismatch", id_)) < harness.log.index(("done", id_)) for id_ in (7, 8, 9))
    assert harness.models.calls == []
    mismatched = [(entry["log_level"], entry["reason"]) for entry in log if entry["event"] == "message.mismatched"]
    assert sorted(mismatched) == [("error", "beyond_sequence"), ("warning", "other_ledger")]


async def test_a_message_that_contradicts_the_ledger_waits_for_the_ledger(monkeypatch: pytest.MonkeyPatch):
    harness = Harness()
    examine, asked = harness.ledger.examine, asyncio.Event()

    async def unavailable_at_first(task: Task) -> Mismatch | None:
        if not asked.is_set():
            asked.set()
            raise Unavailable("the ledger is unavailable", downstream="ledger")
        return await examine(task)

    monkeypatch.setattr(harness.ledger, "examine", unavailable_at_first)
    harness.queue.put_nowait(Watched(a_task(id=8), harness.log))

    async with running(harness):
        await asyncio.wait_for(asked.wait(), 60)
        assert harness.log == []
        await harness.clock.advance(SECOND)
        await harness.until(("done", 8))

    assert harness.log == [("mismatch", 8), ("done", 8)]


async def test_two_claims_of_the_same_number_are_handed_back_each_for_itself():
    """A process that lives through a restore works on a task of before and on the one that has its number now."""
    harness = Harness()
    held(harness)
    harness.send(7)
    with capture_logs() as log:
        async with running(harness):
            await harness.until(("claim", 7))
            del harness.ledger.held[7]
            harness.queue.put_nowait(Watched(a_task(a_spec("model-2"), REQUESTED, id=7), harness.log))
            await eventually(lambda: harness.ledger.claims == 2, what="both are worked on")

    assert harness.log == [("claim", 7), ("claim", 7), ("release", 7)]
    assert [entry for entry in log if entry["event"] == "executor.failed"] == []


async def test_a_task_that_fails_is_settled_as_such_and_done_and_the_others_go_on():
    harness = Harness()
    harness.models.errors = [KeyError("bug"), Unavailable("503", downstream="gordo/plant")]
    harness.send(1, 2, 3)

    async with running(harness):
        await harness.until(("done", 1), ("done", 2), ("done", 3))

    ends = sorted(settlement.outcome for settlement in harness.ledger.ended.values())
    assert ends == sorted([Outcome.CRASHED, Outcome.DEFERRED, Outcome.STORED])


async def test_what_other_sinks_already_have_is_not_written_again():
    harness = Harness()
    harness.ledger.stored_in[7] = frozenset({"sink/first"})
    harness.send(7)

    async with running(harness):
        await harness.until(("done", 7))

    assert [len(store.writes) for store in harness.stores] == [0, 1]


async def test_a_task_beyond_the_hard_limit_is_ended_and_tried_again():
    harness = Harness(hard_limit=SHORTLY)
    held(harness)
    harness.send(7)

    async with running(harness):
        await harness.until(("done", 7))

    settlement = harness.ledger.ended[7]
    assert isinstance(settlement, Retry)
    assert "predict: took longer" in settlement.detail


async def test_waiting_for_a_turn_is_not_held_against_a_task():
    harness = Harness(hard_limit=timedelta(seconds=1), calls=1)
    never, answered = asyncio.Event(), asyncio.Event()
    answered.set()
    harness.models.hold = lambda ref: never if ref.name == "model-1" else answered
    harness.send(1, 2, 3)

    async with running(harness):
        await harness.until(("done", 1), ("done", 2), ("done", 3))

    assert {id_: settlement.outcome for id_, settlement in harness.ledger.ended.items()} == {
        1: Outcome.RETRY,
        2: Outcome.STORED,
        3: Outcome.STORED,
    }


async def test_a_server_that_holds_every_call_beyond_the_hard_limit_is_unavailable_and_costs_few_attempts():
    harness = Harness(hard_limit=SHORTLY, calls=1)
    held(harness)
    harness.send(*range(1, 13))

    async with running(harness):
        await harness.until(*(("done", id_) for id_ in range(1, 13)))

    assert [id_ for id_, settlement in harness.ledger.ended.items() if settlement.outcome is Outcome.RETRY] == [1]
    assert harness.board.is_open("gordo/plant")
    assert len(harness.models.calls) == 1 + circuit_rules().failures


# --- the ledger is unavailable ----------------------------------------------------------------------------------------


async def test_it_registers_again_when_the_ledger_has_forgotten_it_during_an_outage():
    harness = Harness()

    async with running(harness):
        await harness.clock.advance(SECOND)
        harness.ledger.known.clear()
        await harness.clock.advance(10 * SECOND)
        assert harness.ledger.known == {"executor-1"}


async def test_it_waits_for_the_ledger_before_it_takes_anything():
    harness = Harness()
    harness.ledger.unavailable = True
    harness.send(7)

    async with running(harness):
        await harness.clock.advance(10 * SECOND)
        assert (harness.queue.qsize(), harness.log) == (1, [])
        harness.ledger.unavailable = False
        await harness.clock.advance(SECOND)
        await harness.until(("done", 7))
        assert harness.ledger.known == {"executor-1"}

    assert harness.ledger.known == set()


async def test_while_the_ledger_is_unavailable_a_delivery_is_neither_forgotten_nor_done():
    harness = Harness()

    async with running(harness):
        await harness.clock.advance(SECOND)
        harness.ledger.unavailable = True
        harness.send(7)
        await harness.clock.advance(timedelta(minutes=20))
        assert harness.log == []
        assert harness.executor.overdue == []
        harness.ledger.unavailable = False
        await harness.clock.advance(SECOND)
        await harness.until(("done", 7))

    assert harness.did() == [("claim", 7), ("settle", 7), ("done", 7)]


async def test_a_result_waits_for_the_ledger_and_is_recorded_when_it_is_back():
    harness = Harness()
    answer = held(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.models.calls)
        harness.ledger.unavailable = True
        answer.set()
        await harness.clock.advance(timedelta(minutes=20))
        assert harness.did("settle", "done") == []
        assert harness.executor.overdue == []
        harness.ledger.unavailable = False
        await harness.clock.advance(SECOND)
        await harness.until(("done", 7))

    assert len(harness.models.calls) == 1
    assert harness.ledger.ended[7].outcome is Outcome.STORED


async def test_a_task_that_is_worked_on_for_too_long_is_overdue():
    harness = Harness()
    answer = held(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.models.calls)
        on_time = harness.executor.overdue
        await harness.clock.advance(timedelta(minutes=16))
        assert (on_time, harness.executor.overdue) == ([], ["task-7"])
        answer.set()
        await harness.until(("done", 7))
        assert harness.executor.overdue == []


async def test_a_model_that_is_worked_on_is_not_worked_on_twice_at_once():
    harness = Harness()
    answer = held(harness)
    harness.ledger.add(1, 2, 3)
    for id_, name in ((1, "pump"), (2, "pump"), (3, "valve")):
        harness.queue.put_nowait(Watched(a_task(a_spec(name), REQUESTED, id=id_), harness.log))

    async with running(harness):
        await eventually(lambda: len(harness.models.calls) == 2)
        claimed = [task_id for what, task_id in harness.log if what == "claim"]
        answer.set()
        await harness.until(("done", 1), ("done", 2), ("done", 3))

    assert claimed == [1, 3]


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_tasks_in_flight_are_finished_within_the_grace_and_nothing_new_is_begun():
    harness = Harness(grace=HAND_BACK + 10 * SECOND)
    answer = held(harness)
    harness.send(1, 2)

    async with running(harness) as stop:
        await eventually(lambda: len(harness.models.calls) == 2)
        stop.set()
        await asyncio.sleep(0)
        harness.send(3)
        answer.set()

    assert sorted(harness.did("settle", "done")) == [("done", 1), ("done", 2), ("settle", 1), ("settle", 2)]
    assert harness.did("claim", "release") == [("claim", 1), ("claim", 2)]


async def test_what_is_not_finished_within_the_grace_is_handed_back_and_not_done():
    harness = Harness(grace=HAND_BACK)
    held(harness)
    harness.send(1, 2)

    async with running(harness):
        await eventually(lambda: len(harness.models.calls) == 2)

    assert sorted(harness.did()) == [("claim", 1), ("claim", 2), ("release", 1), ("release", 2)]
    assert harness.ledger.held == {}
    assert harness.ledger.known == set()


async def test_what_has_its_predictions_in_the_sinks_is_settled_and_not_handed_back():
    harness = Harness(grace=HAND_BACK)
    may_settle = asyncio.Event()
    settle = harness.ledger.settle

    async def slow(settlements, receipts):
        harness.log.append(("settling", 1))
        await may_settle.wait()
        return await settle(settlements, receipts)

    harness.ledger.settle = slow  # type: ignore[assignment, method-assign]  # takes its time
    harness.send(1)

    async with running(harness) as stop:
        await harness.until(("settling", 1))
        stop.set()
        await eventually(lambda: harness.queue.qsize() == 0)
        for _ in range(20):
            await asyncio.sleep(0)
        may_settle.set()

    assert harness.did("settle", "release", "done") == [("settle", 1), ("done", 1)]


async def test_deliveries_that_were_not_started_are_left_as_they_are():
    harness = Harness(concurrency=1)
    held(harness)
    harness.send(1, 2, 3)

    async with running(harness):
        await eventually(lambda: harness.models.calls)

    assert harness.did() == [("claim", 1), ("release", 1)]


async def test_the_queue_is_left_only_when_everything_that_was_begun_is_done():
    harness = Harness(concurrency=1, grace=HAND_BACK + 10 * SECOND)
    answer = held(harness)
    harness.send(1, 2)

    async with running(harness) as stop:
        await eventually(lambda: harness.models.calls)
        stop.set()
        await eventually(harness.queue.empty)
        answer.set()

    assert harness.log_when_left == [("claim", 1), ("settle", 1), ("done", 1)]


async def test_a_receiver_that_breaks_ends_the_executor_which_hands_back_what_it_has():
    harness = Harness()
    held(harness)
    harness.send(1)

    with pytest.RaisesGroup(pytest.RaisesGroup(ConnectionResetError)):
        async with running(harness):
            await eventually(lambda: harness.models.calls)
            harness.queue.get = broken  # type: ignore[method-assign]  # what follows the delivery that is waited for
            harness.send(99)
            await asyncio.Event().wait()

    assert ("release", 1) in harness.log
    assert harness.ledger.known == set()


async def broken() -> Watched:
    raise ConnectionResetError("no queue")


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_leases_are_renewed_while_a_task_is_worked_on():
    harness = Harness()
    answer = held(harness)
    renewed: list[int] = []
    renew = harness.ledger.renew

    async def noted(claims, lease):
        renewed.extend(claim.task_id for claim in claims)
        return await renew(claims, lease)

    harness.ledger.renew = noted  # type: ignore[method-assign]  # to see it
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.models.calls)
        await harness.clock.advance(30 * SECOND)
        answer.set()
        await harness.until(("done", 7))

    assert renewed == [7, 7, 7]


async def test_a_lost_claim_cancels_the_work_and_its_delivery_is_done():
    harness = Harness()
    held(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.models.calls)
        harness.ledger.lost.add(7)
        await harness.clock.advance(10 * SECOND)
        await harness.until(("done", 7))
        assert harness.gate.running == 0

    assert harness.did("settle", "release") == []
    assert [store.writes for store in harness.stores] == [[], []]


async def test_other_tasks_go_on_when_one_claim_is_lost():
    harness = Harness()
    answer = held(harness)
    harness.send(1, 2)

    async with running(harness):
        await eventually(lambda: len(harness.models.calls) == 2)
        harness.ledger.lost.add(1)
        await harness.clock.advance(10 * SECOND)
        await harness.until(("done", 1))
        answer.set()
        await harness.until(("done", 2))

    assert harness.did("settle") == [("settle", 2)]


def unfenced(harness: Harness) -> asyncio.Event:
    """Let no sink compare writers, and hold writes to the first one until the event is set."""
    for store in harness.stores:
        store.fenced = False
    harness.stores[0].hold.clear()
    return harness.stores[0].hold


async def test_a_claim_lost_before_the_write_is_done_without_it_and_leaves_nothing_to_repair():
    harness = Harness()
    unfenced(harness).set()
    answer = held(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.models.calls)
        harness.ledger.lost.add(7)
        answer.set()
        await harness.until(("done", 7))

    assert [store.writes for store in harness.stores] == [[], []]
    assert harness.did("settle", "release", "request_repair") == []


async def test_a_claim_lost_in_the_middle_of_a_write_has_its_window_repaired_before_it_is_done():
    harness = Harness()
    unfenced(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.stores[0].begun)
        harness.ledger.lost.add(7)
        await harness.clock.advance(10 * SECOND)
        await harness.until(("done", 7))

    assert harness.did("begin_write", "request_repair", "request_late_repair", "done", "settle") == [
        ("begin_write", 7),
        ("request_late_repair", 7),  # what was cut off may still arrive
        ("done", 7),
    ]


async def test_a_settlement_that_does_not_count_has_what_was_written_repaired():
    harness = Harness()
    write = unfenced(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.stores[0].begun)
        harness.ledger.superseded.add(7)
        write.set()
        await harness.until(("done", 7))

    assert harness.did("settle") == []
    assert harness.did("request_repair", "done") == [("request_repair", 7), ("done", 7)]


@pytest.mark.parametrize(("compares", "counts"), [(False, True), (True, False)])
async def test_a_settlement_that_counts_and_sinks_that_compare_leave_nothing_to_repair(compares: bool, counts: bool):
    harness = Harness()
    write = unfenced(harness)
    for store in harness.stores:
        store.fenced = compares
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.stores[0].begun)
        if not counts:
            harness.ledger.superseded.add(7)
        write.set()
        await harness.until(("done", 7))

    assert harness.did("request_repair") == []


async def test_a_repair_is_requested_until_the_ledger_has_it():
    harness = Harness()
    unfenced(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.stores[0].begun)
        harness.ledger.lost.add(7)
        await harness.clock.advance(9 * SECOND)
        request, failed = harness.ledger.request_repair, list[Claim]()

        async def fail_once(claim: Claim, *, may_arrive: bool = False) -> None:
            if not failed:
                failed.append(claim)
                raise Unavailable("no answer", downstream="ledger")
            await request(claim, may_arrive=may_arrive)

        harness.ledger.request_repair = fail_once  # type: ignore[method-assign]  # a moment of an outage
        await harness.clock.advance(SECOND)
        await eventually(lambda: failed)
        assert harness.did("done") == []
        await harness.clock.advance(2 * SECOND)
        await harness.until(("done", 7))

    assert harness.did("request_late_repair", "done") == [("request_late_repair", 7), ("done", 7)]


async def test_a_task_cut_off_in_the_middle_of_a_write_after_its_claim_was_lost_is_repaired():
    harness = Harness(grace=HAND_BACK)
    unfenced(harness)
    harness.send(7)

    async with running(harness) as stop:
        await eventually(lambda: harness.stores[0].begun)
        harness.ledger.lost.add(7)
        stop.set()

    assert harness.did("release", "request_late_repair", "done") == [("request_late_repair", 7)]


async def test_while_leases_cannot_be_renewed_the_work_goes_on():
    harness = Harness()
    answer = held(harness)
    harness.send(7)

    async with running(harness):
        await eventually(lambda: harness.models.calls)
        harness.ledger.unavailable = True
        await harness.clock.advance(60 * SECOND)
        harness.ledger.unavailable = False
        answer.set()
        await harness.clock.advance(SECOND)
        await harness.until(("done", 7))

    assert harness.ledger.ended[7].outcome is Outcome.STORED


# --- isolated ---------------------------------------------------------------------------------------------------------


async def test_a_task_that_did_not_survive_before_runs_in_isolation_and_counts_its_start():
    harness = Harness()
    answers = {"model-1": asyncio.Event(), "model-2": asyncio.Event()}
    harness.models.hold = lambda ref: answers[ref.name]
    harness.ledger.isolated.add(2)
    harness.send(1, 2)

    async with running(harness):
        await eventually(lambda: ("claim", 2) in harness.log and harness.models.calls)
        overlapping = [spec.ref.name for spec, *_ in harness.models.calls]
        answers["model-1"].set()
        await eventually(lambda: len(harness.models.calls) == 2)
        answers["model-2"].set()
        await harness.until(("done", 2))

    assert overlapping == ["model-1"]
    assert harness.did("settle", "start_isolated") == [("settle", 1), ("start_isolated", 2), ("settle", 2)]


async def test_a_task_that_was_lost_while_it_waited_for_isolation_is_not_begun():
    harness = Harness()
    harness.ledger.isolated.add(7)
    harness.ledger.lost.add(7)
    harness.send(7)

    async with running(harness):
        await harness.until(("done", 7))

    assert harness.models.calls == []
    assert harness.did("settle", "release") == []


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
    harness = Harness()
    harness.models.errors = [REFUSED]
    harness.spec_now = now
    harness.send(1)

    async with running(harness):
        await harness.until(("done", 1))

    settlement = harness.ledger.ended[1]
    assert settlement.outcome is outcome
    assert (isinstance(settlement, Deferred) and settlement.stale_metadata) == (outcome is Outcome.DEFERRED)
    assert harness.described == [PUMP]


async def test_for_any_other_refusal_the_metadata_is_kept():
    harness = Harness()
    harness.models.errors = [Rejected("no", reason=Reason.VALUES_REFUSED)]
    harness.send(1)

    async with running(harness):
        await harness.until(("done", 1))

    settlement = harness.ledger.ended[1]
    assert isinstance(settlement, RejectedTask)
    assert settlement.reason is Reason.VALUES_REFUSED
    assert harness.described == []


# --- what people change at run time -----------------------------------------------------------------------------------


async def test_a_drained_executor_finishes_its_tasks_takes_no_more_and_goes_on_when_it_is_resumed():
    harness = Harness(concurrency=1)
    answers = held(harness)
    harness.send(1, 2)

    async with running(harness):
        await harness.until(("claim", 1))
        harness.ledger.ordered = Controls(drained=True)
        await harness.clock.advance(REFRESH)
        still_received, ahead = harness.log_when_left is None, harness.received_for
        answers.set()
        await harness.until(("done", 1))
        await harness.clock.advance(2 * REFRESH)
        left, claimed = harness.log_when_left, harness.did("claim")
        harness.ledger.ordered = Controls()
        await harness.clock.advance(2 * REFRESH)
        harness.send(3)
        await harness.until(("done", 2), ("done", 3))
        resumed = harness.received_for

    assert still_received  # or the queue would give what runs to others
    assert (ahead, resumed) == (0, 1)  # what it cannot begin is left to others
    assert left is not None
    assert claimed == [("claim", 1)]


@pytest.mark.parametrize("ordered", [Controls(drained=True), Controls(drained=True, stops=True)])
async def test_a_drained_executor_leaves_what_has_not_begun_to_others_at_once(ordered: Controls):
    harness = Harness(concurrency=1)
    harness.takes_back = True
    answers = held(harness)
    harness.send(1, 2, 3)

    async with running(harness):
        await harness.until(("claim", 1))
        await eventually(harness.queue.empty)
        harness.ledger.ordered = ordered
        await harness.clock.advance(REFRESH)
        await harness.until(("give back", 2), ("give back", 3))
        done = harness.did("done")
        answers.set()
        await harness.until(("done", 1))

    assert done == []
    assert {entry[1] for entry in harness.did("claim")} == {1}


async def test_an_executor_that_stops_leaves_what_has_not_begun_to_others_before_its_own_tasks_have_ended():
    harness = Harness(concurrency=1, grace=HAND_BACK + 10 * SECOND)
    harness.takes_back = True
    answer = held(harness)
    harness.send(1, 2)

    async with running(harness) as stop:
        await harness.until(("claim", 1))
        await eventually(harness.queue.empty)
        stop.set()
        await harness.until(("give back", 2))
        received_for = harness.received_for
        answer.set()

    assert received_for == 0
    assert harness.did() == [("claim", 1), ("give back", 2), ("settle", 1), ("done", 1)]


async def test_a_full_executor_leaves_to_others_what_has_waited_for_long():
    harness = Harness(concurrency=1)
    harness.takes_back = True
    answers = held(harness)
    harness.send(1, 2)

    async with running(harness):
        await harness.until(("claim", 1))
        await eventually(harness.queue.empty)
        await harness.clock.advance(OVERDUE)
        early = harness.did("give back")
        await harness.clock.advance(OVERDUE)
        await harness.until(("give back", 2))
        answers.set()
        await harness.until(("done", 1))

    assert early == []
    assert harness.did("claim") == [("claim", 1)]


async def test_an_executor_without_others_keeps_what_waits():
    harness = Harness(concurrency=1)
    answers = held(harness)
    harness.send(1, 2)

    async with running(harness):
        await harness.until(("claim", 1))
        await harness.clock.advance(3 * OVERDUE)
        answers.set()
        await harness.until(("done", 2))

    assert harness.did("give back") == []


async def test_a_drained_executor_that_is_to_stop_ends_when_its_tasks_have():
    harness = Harness(concurrency=2)
    answers = held(harness)
    harness.send(1)

    async with running(harness) as stop:
        await harness.until(("claim", 1))
        harness.ledger.ordered = Controls(drained=True, stops=True)
        await harness.clock.advance(3 * REFRESH)
        too_early = stop.is_set()
        answers.set()
        await harness.until(("done", 1))
        await harness.clock.advance(2 * REFRESH)

        assert (too_early, stop.is_set()) == (False, True)
    assert harness.did("release") == []


async def test_another_concurrency_holds_within_seconds_and_is_reported():
    harness = Harness(concurrency=1)
    answers = held(harness)
    harness.send(1, 2, 3)

    async with running(harness):
        await harness.until(("claim", 1))
        before = harness.did("claim")
        harness.ledger.ordered = Controls(Limits(concurrency=2))
        await harness.clock.advance(REFRESH)
        await harness.until(("claim", 2))
        after = harness.did("claim")
        answers.set()
        await harness.until(("done", 3))
        received_for = harness.received_for

    assert (len(before), len(after)) == (1, 2)
    assert (harness.ledger.beats[0][1], received_for) == (2, 2)


async def test_calls_of_model_servers_are_no_more_than_the_concurrency_that_was_ordered():
    harness = Harness(concurrency=8)
    before = harness.limits["plant"].limit
    harness.ledger.ordered = Controls(Limits(concurrency=1))

    async with running(harness):
        await harness.clock.advance(REFRESH)

    assert (before, harness.limits["plant"].limit, harness.limits["new"].limit) == (2, 1, 1)


async def test_while_the_ledger_is_unavailable_the_last_orders_hold():
    harness = Harness(concurrency=1)
    harness.ledger.ordered = Controls(Limits(concurrency=3))

    async with running(harness):
        await harness.clock.advance(REFRESH)
        harness.ledger.unavailable = True
        await harness.clock.advance(3 * REFRESH)
        concurrency = harness.gate.concurrency
        harness.ledger.unavailable = False

    assert concurrency == 3


# --- what is logged ---------------------------------------------------------------------------------------------------


async def test_what_was_done_is_counted_by_project_lane_and_outcome():
    harness = Harness()
    harness.models.errors = [KeyError("bug")]
    harness.send(1, 2)

    async with running(harness):
        await harness.until(("done", 1), ("done", 2))

    (tasks,) = harness.metrics.tasks.collect()
    counted = {s.labels["outcome"]: s.value for s in tasks.samples if s.name.endswith("_total")}
    (slots,) = harness.metrics.slots.collect()
    covered = [s.value for s in slots.samples if s.name.endswith("_total") and s.labels["outcome"] == "covered"]
    assert (counted, covered) == ({"crashed": 1, "stored": 1}, [2])
