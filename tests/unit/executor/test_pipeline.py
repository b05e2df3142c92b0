"""The progress of one task, on a plant in memory."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from latigo.dataset.build import Buckets
from latigo.dataset.fingerprint import MOVED
from latigo.domain.coverage import Coverage
from latigo.domain.errors import (
    CircuitOpen,
    Failed,
    Reason,
    Rejected,
    TimedOut,
    TooLarge,
    Unavailable,
)
from latigo.domain.fence import Fence
from latigo.domain.outcome import (
    NO_FINITE_VALUES,
    NOT_STORED,
    Compared,
    Deferred,
    Outcome,
    Retry,
    SlotState,
    Split,
    Stored,
)
from latigo.domain.series import Frame, Predictions, Readings, Series, Times, Values, Written
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.executor.comparing import Comparison
from latigo.executor.outcomes import settlement_of
from latigo.executor.pipeline import period_of
from latigo.executor.progress import Progress
from latigo.executor.slots import TOO_FEW_ROWS
from latigo.ledger.protocol import ClaimLost, MismatchKind
from latigo.providers.memory import MemorySensors
from latigo.providers.routed import RoutedSensors, Routing
from tests.support.build import a_spec, a_task, at, window
from tests.support.memory_ledgers import a_circuit
from tests.support.memory_plant import Plant, every_minute
from tests.support.waiting import eventually

TEN_MINUTES = timedelta(minutes=10)
REQUESTED = window("10:00", "11:00")
REFUSED = Rejected("a number too large", reason=Reason.WRITE_REFUSED)
UNAVAILABLE = Unavailable("no answer", downstream="sink/second")


def labels(span: Window) -> list[object]:
    return [slot.start for slot in span.slots(TEN_MINUTES)]


async def run(plant: Plant, task: Task | None = None, *stored_in: str) -> tuple[Stored, Progress]:
    progress = plant.progress(task or a_task(span=REQUESTED), *stored_in)
    settlement = await plant.pipeline.run(progress)
    assert isinstance(settlement, Stored)
    return settlement, progress


async def test_what_the_model_says_is_stored_in_every_sink_and_the_window_is_covered():
    plant = Plant()

    settlement, progress = await run(plant)

    assert (settlement.outcome, settlement.covered, settlement.exceptions) == (
        Outcome.STORED,
        Coverage((REQUESTED,)),
        (),
    )
    assert settlement.rows == 6
    for store in plant.stores:
        assert store.times(progress.task.ref) == labels(REQUESTED)
        assert {point.value for point in store.points[progress.task.ref].values()} == {2.0}
    assert progress.stored_in == {"sink/first", "sink/second"}


async def test_context_is_read_and_sent_and_neither_it_nor_the_end_is_written():
    plant = Plant()
    spec = a_spec(model_offset=3)

    settlement, _ = await run(plant, a_task(spec, REQUESTED))

    ((_, requested, x),) = plant.models.calls
    period = Window(REQUESTED.start - (3 + 5) * TEN_MINUTES, REQUESTED.end)
    assert period_of(spec, REQUESTED) == period
    assert requested == REQUESTED
    assert [from_ns(time) for time in x.times.tolist()] == labels(period)
    assert plant.stores[0].times(spec.ref) == labels(REQUESTED)
    assert settlement.covered == Coverage((REQUESTED,))


async def test_a_beginning_without_readings_is_filled_from_before():
    plant = Plant()
    plant.sensors.readings["b"] = Series(
        np.concatenate([every_minute(at("05:00"), at("05:01"), 7).times, every_minute(at("10:20"), at("23:59")).times]),
        np.concatenate([[7.0], np.ones((23 - 10) * 60 + 39)]),
    )

    settlement, _ = await run(plant)

    ((_, _, x),) = plant.models.calls
    assert from_ns(int(x.times[0])) == at("09:10")
    assert settlement.covered == Coverage((REQUESTED,))


async def test_without_rows_no_model_is_called_and_nothing_written():
    plant = Plant()
    plant.sensors.readings["b"] = Series.empty()

    settlement, _ = await run(plant)

    assert plant.models.calls == []
    assert [store.writes for store in plant.stores] == [[], []]
    assert (settlement.outcome, settlement.rows, settlement.silent_since) == (Outcome.STORED, 0, at("10:00"))
    assert [(e.state, e.slots) for e in settlement.exceptions] == [(SlotState.ABSENT, Coverage((REQUESTED,)))]


async def test_only_rows_before_the_window_are_nothing_to_predict():
    plant = Plant()
    dataset = {"interpolation_limit": timedelta(0)}
    plant.sensors.readings["a"] = every_minute(at("09:00"), at("10:00"))

    settlement, _ = await run(plant, a_task(a_spec(dataset=dataset), REQUESTED))

    assert plant.models.calls == []
    assert [(e.state, e.reason) for e in settlement.exceptions] == [(SlotState.ABSENT, "no data: 'a'")]


async def test_fewer_rows_than_the_model_needs_are_an_answer():
    plant = Plant()
    spec = a_spec(model_offset=2, dataset={"row_filter": "a > 0.5"})
    low = plant.sensors.readings["a"] = every_minute(at("00:00"), at("23:59"), 0.0)
    low.values[10 * 60 + 50 : 10 * 60 + 60] = 1.0  # 10:50 is the only row

    settlement, _ = await run(plant, a_task(spec, REQUESTED))

    assert [len(x) for _, _, x in plant.models.calls] == [1]
    assert (settlement.outcome, settlement.rows) == (Outcome.STORED, 0)
    assert (SlotState.ABSENT, TOO_FEW_ROWS) in [(e.state, e.reason) for e in settlement.exceptions]


@pytest.mark.parametrize(
    ("known", "answered", "flagged"),
    [(None, True, False), (None, False, True), (True, False, True), (False, False, False)],
)
async def test_a_model_that_turns_out_to_answer_on_prediction_only_is_flagged_once(
    known: bool | None, answered: bool, flagged: bool
):
    plant = Plant()
    plant.models.anomaly = answered

    settlement, _ = await run(plant, a_task(a_spec(anomaly=known), REQUESTED))

    assert settlement.prediction_only is flagged


# --- sinks ------------------------------------------------------------------------------------------------------------


async def test_a_required_sink_that_fails_ends_the_task_and_who_has_the_result_is_remembered():
    plant = Plant()
    plant.stores[1].errors = [UNAVAILABLE]
    progress = plant.progress(a_task(span=REQUESTED))

    with pytest.raises(Unavailable):
        await plant.pipeline.run(progress)

    assert (progress.stage, progress.stored_in) == ("write", {"sink/first"})


async def test_a_sink_that_has_the_result_is_not_written_again():
    plant = Plant()

    _, progress = await run(plant, None, "sink/first")

    assert [len(store.writes) for store in plant.stores] == [0, 1]
    assert progress.stored_in == {"sink/first", "sink/second"}


async def test_a_sink_that_holds_only_a_part_of_the_window_is_written_again():
    plant = Plant()
    plant.sensors.readings["a"] = every_minute(at("00:00"), at("10:30"))
    plant.stores[1].errors = [UNAVAILABLE]
    short = a_task(a_spec(dataset={"interpolation_limit": timedelta(0)}), REQUESTED)
    progress = plant.progress(short)
    with pytest.raises(Unavailable):
        await plant.pipeline.run(progress)
    before = set(progress.stored_in)

    plant.sensors.readings["a"] = every_minute(at("00:00"), at("23:59"))  # late readings have come
    settlement, _ = await run(plant, short, *before)

    assert before == set()
    assert [store.times(short.ref) for store in plant.stores] == [labels(REQUESTED)] * 2
    assert settlement.covered == Coverage((REQUESTED,))


async def test_a_sink_whose_rows_may_still_change_is_written_again():
    plant = Plant()
    plant.sensors.readings["a"] = every_minute(at("00:00"), at("10:30"))  # and filled forward from there
    plant.stores[1].errors = [UNAVAILABLE]
    progress = plant.progress(a_task(span=REQUESTED))

    with pytest.raises(Unavailable):
        await plant.pipeline.run(progress)

    assert plant.stores[0].times(progress.task.ref) == labels(REQUESTED)
    assert progress.stored_in == set()


# --- sweeps -----------------------------------------------------------------------------------------------------------

SWEEPS = Comparison(timedelta(days=100_000))


async def test_without_sweeps_no_fingerprints_are_made():
    settlement, _ = await run(Plant())

    assert settlement.fingerprints is None


async def test_a_sweep_calls_no_model_and_writes_nothing_where_only_a_part_has_moved():
    plant = Plant()
    pipeline = replace(plant.pipeline, comparison=SWEEPS)
    stored = await pipeline.run(plant.progress(a_task(span=REQUESTED)))
    assert isinstance(stored, Stored)
    sweep = plant.progress(a_task(span=REQUESTED, lane=Lane.MANUAL))
    sweep.recorded = stored.fingerprints

    same = await pipeline.run(sweep)
    plant.sensors.readings["a"].values[10 * 60 + 35] = 5.0  # a reading of 10:35
    moved = await pipeline.run(sweep)

    assert stored.fingerprints is not None
    assert list(stored.fingerprints) == [at("10:00"), at("10:30")]
    assert same == Compared()
    assert moved == Compared(Coverage((window("10:30", "11:00"),)))
    assert (len(plant.models.calls), [len(store.writes) for store in plant.stores]) == (1, [1, 1])


async def test_what_has_moved_as_a_whole_is_predicted_again_and_what_from_is_kept_however_old_it_is():
    plant = Plant()
    sweep = plant.progress(a_task(span=REQUESTED, lane=Lane.MANUAL))
    sweep.recorded = {at("10:00"): MOVED, at("10:30"): MOVED}

    settlement = await plant.pipeline.run(sweep)

    assert isinstance(settlement, Stored)
    assert settlement.covered == Coverage((REQUESTED,))
    assert settlement.fingerprints is not None
    assert list(settlement.fingerprints) == [at("10:00"), at("10:30")]
    assert MOVED not in settlement.fingerprints.values()
    assert len(plant.models.calls) == 1


# --- coverage follows what is stored ----------------------------------------------------------------------------------


def reasons(settlement: Stored) -> dict[tuple[SlotState, str], Coverage]:
    return {(each.state, each.reason): each.slots for each in settlement.exceptions}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_a_model_that_answers_no_finite_value_covers_nothing(value: float):
    plant = Plant()
    plant.models.changed = lambda _, values: np.full_like(values, value)

    settlement, progress = await run(plant)

    assert (settlement.outcome, settlement.covered, settlement.rows) == (Outcome.STORED, Coverage(), 0)
    assert reasons(settlement) == {(SlotState.ABSENT, NO_FINITE_VALUES): Coverage((REQUESTED,))}
    assert (settlement.values, settlement.not_finite, settlement.silent_since) == (12, 12, None)
    assert [store.writes for store in plant.stores] == [[], []]
    assert progress.stored_in == set()


async def test_of_a_model_that_answers_finite_values_in_a_part_that_part_is_covered():
    plant = Plant()

    def changed(times: Times, values: Values) -> Values:
        values[times >= to_ns(at("10:50"))] = np.inf
        values[times < to_ns(at("10:10")), 0] = np.nan  # a row with one finite value is stored
        return values

    plant.models.changed = changed

    settlement, progress = await run(plant)

    assert settlement.covered == Coverage((window("10:00", "10:30"),))
    assert reasons(settlement) == {(SlotState.SHORT, NO_FINITE_VALUES): Coverage((window("10:30", "11:00"),))}
    assert (settlement.rows, settlement.values, settlement.not_finite) == (5, 12, 3)
    assert plant.stores[0].times(progress.task.ref) == labels(REQUESTED)[:5]


async def test_what_a_required_sink_does_not_keep_is_not_covered_and_names_the_sink():
    plant = Plant()
    plant.stores[0].since, plant.stores[1].since = at("10:20"), at("10:30")

    settlement, progress = await run(plant)

    assert settlement.covered == Coverage((window("10:30", "11:00"),))
    assert reasons(settlement) == {
        (SlotState.ABSENT, f"{NOT_STORED}: sink/first, sink/second"): Coverage((window("10:00", "10:30"),))
    }
    assert settlement.rows == 3
    assert progress.stored_in == set()


async def test_what_only_one_required_sink_keeps_is_not_covered():
    plant = Plant()
    plant.stores[1].since = at("10:50")

    settlement, progress = await run(plant)

    assert settlement.covered == Coverage()
    assert reasons(settlement) == {
        (SlotState.ABSENT, f"{NOT_STORED}: sink/second"): Coverage((window("10:00", "10:30"),)),
        (SlotState.SHORT, f"{NOT_STORED}: sink/second"): Coverage((window("10:30", "11:00"),)),
    }
    assert progress.stored_in == {"sink/first"}


async def test_what_a_sink_that_is_not_required_does_not_keep_changes_no_coverage():
    plant = Plant("sink/second")
    plant.stores[1].since = at("10:50")

    settlement, progress = await run(plant)

    assert (settlement.covered, settlement.rows) == (Coverage((REQUESTED,)), 6)
    assert progress.stored_in == {"sink/first"}


async def test_without_finite_values_no_circuit_of_a_sink_is_closed():
    """A probe that writes nothing has not shown that the sink works."""
    plant = Plant()
    plant.ledger.board.set(a_circuit("sink/first"))
    await plant.board.refresh()
    plant.models.changed = lambda _, values: values * np.nan

    await run(plant, a_task(span=REQUESTED, probe=True))

    assert plant.board.is_open("sink/first")


@pytest.mark.parametrize("error", [UNAVAILABLE, REFUSED, TooLarge("413"), Failed("500")])
async def test_a_sink_that_is_not_required_stops_nothing(error: Exception):
    plant = Plant("sink/first")
    plant.stores[0].errors = [error]

    settlement, progress = await run(plant)

    assert settlement.covered == Coverage((REQUESTED,))
    assert progress.stored_in == {"sink/second"}


async def test_a_sink_that_is_not_required_is_written_again_once_it_is_back():
    plant = Plant("sink/first")
    plant.stores[0].errors = [Unavailable("no answer", downstream="sink/first")] * 6
    for _ in range(7):
        await run(plant)
    assert plant.board.is_open("sink/first")
    assert len(plant.stores[0].errors) == 1

    for _ in range(2):  # the first probe fails, the second one does not
        await plant.clock.advance(timedelta(seconds=30))
        await plant.board.refresh()
        await run(plant)

    assert not plant.board.is_open("sink/first")
    assert len(plant.stores[0].writes) == 1


async def test_the_sinks_get_whole_windows_once():
    plant = Plant()

    await run(plant, a_task(span=window("08:00", "12:00")))

    assert [[len(written) for written in store.writes] for store in plant.stores] == [[24], [24]]


# --- circuits, limits, budget -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("downstream", "stage"), [("sensors/memory", "read"), ("gordo/plant", "predict"), ("sink/first", "write")]
)
async def test_an_open_circuit_stops_the_progress_where_it_is_needed(downstream: str, stage: str):
    plant = Plant()
    plant.ledger.board.set(a_circuit(downstream))
    await plant.board.refresh()
    progress = plant.progress(a_task(span=REQUESTED))

    with pytest.raises(CircuitOpen):
        await plant.pipeline.run(progress)

    assert progress.stage == stage


async def test_a_probe_passes_open_circuits_and_closes_them():
    plant = Plant()
    for downstream in ("sensors/memory", "gordo/plant", "sink/first"):
        plant.ledger.board.set(a_circuit(downstream))
    await plant.board.refresh()

    settlement, _ = await run(plant, a_task(span=REQUESTED, probe=True))

    assert settlement.outcome is Outcome.STORED
    assert plant.ledger.board.open == {}


async def probe_twice(plant: Plant, ping_error: Exception | None) -> list[bool]:
    """Probe a sink whose first write fails; return whether its circuit is open after each probe."""
    plant.ledger.board.set(a_circuit("sink/first"))
    plant.stores[0].ping_error = ping_error
    plant.stores[0].errors = [Unavailable("disk full", downstream="sink/first")]
    states: list[bool] = []
    for _ in range(2):
        await plant.board.refresh()
        with suppress(Unavailable):
            await run(plant, a_task(span=REQUESTED, probe=True))
        states.append("sink/first" in plant.ledger.board.open)
    return states


async def test_no_model_is_called_to_probe_a_sink_that_does_not_answer():
    plant = Plant()

    assert await probe_twice(plant, Unavailable("no answer", downstream="sink/first")) == [True, True]

    assert plant.models.calls == []


@pytest.mark.parametrize("ping_error", [None, NotImplementedError()])
async def test_a_sink_that_answers_has_not_taken_a_write_yet(ping_error: Exception | None):
    plant = Plant()

    assert await probe_twice(plant, ping_error) == [True, False]

    assert len(plant.models.calls) == 2


async def test_readings_beyond_a_share_of_the_budget_are_too_large():
    needed = 2 * 110 * 16  # two tags, from 09:10 to 11:00
    enough, too_little = Plant(budget=needed * 4), Plant(budget=needed * 4 - 4)

    await run(enough)
    with pytest.raises(TooLarge):
        await run(too_little)

    assert (enough.budget.held, too_little.budget.held) == (0, 0)


async def test_the_next_estimate_follows_what_was_read():
    plant = Plant()
    before = plant.budget.estimate(2, timedelta(hours=1))

    for _ in range(100):
        await run(plant)

    assert plant.budget.estimate(2, timedelta(hours=1)) == pytest.approx(2 * 60 * 16, rel=0.05)
    assert before == 2 * 3600 * 16 + 1


async def test_projects_have_limits_of_their_own():
    plant = Plant()

    await run(plant, a_task(a_spec(project="one"), REQUESTED))
    await run(plant, a_task(a_spec(project="two"), REQUESTED))

    assert set(plant.limits) == {"one", "two"}
    assert {limit.in_flight for limit in plant.limits.values()} == {0}


async def test_an_unknown_tag_ends_the_progress_at_reading():
    plant = Plant()
    progress = plant.progress(a_task(a_spec(tags=("a", "nobody knows")), REQUESTED))

    with pytest.raises(Rejected, match="nobody knows") as refused:
        await plant.pipeline.run(progress)

    assert (refused.value.reason, progress.stage) == (Reason.UNKNOWN_SENSOR, "read")


# --- stages -----------------------------------------------------------------------------------------------------------


def seconds(plant: Plant) -> dict[str, float]:
    """What every stage took that was measured."""
    (family,) = plant.metrics.stage_seconds.collect()
    found = {(each.name.rpartition("_")[2], each.labels["stage"]): each.value for each in family.samples}
    return {stage: value for (kind, stage), value in found.items() if kind == "sum" and found["count", stage]}


async def test_aggregating_is_no_part_of_reading(monkeypatch: pytest.MonkeyPatch):
    """Time that this process needs must not use up the hard limit, which is one of calls."""
    plant, aggregate = Plant(hard_limit=timedelta(minutes=15)), Buckets.of

    def slowly(*args: Any) -> Buckets:
        plant.clock.jump(timedelta(hours=1))
        return aggregate(*args)

    monkeypatch.setattr(Buckets, "of", slowly)
    plant.sensors.readings["b"] = every_minute(at("09:30"), at("23:59"))  # the look-back is read as well

    settlement, progress = await run(plant)

    assert settlement.outcome is Outcome.STORED
    assert progress.spent == 0
    assert seconds(plant) == {"read": 0, "frame": 3600, "predict": 0, "write": 0}


@pytest.mark.parametrize(
    ("method", "readings", "in_thread"),
    [("mean", 50_000, False), ("mean", 500_000, True), ("std", 50_000, True), ("median", 50_000, True)],
)
async def test_what_takes_long_to_aggregate_is_aggregated_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, method: str, readings: int, in_thread: bool
):
    plant, aggregate, threads = Plant(), Buckets.of, []
    times = np.linspace(to_ns(at("09:00")), to_ns(at("11:00")), readings).astype(np.int64)
    plant.sensors.readings.update({tag: Series(times, np.ones(readings)) for tag in "ab"})

    def recorded(*args: Any) -> Buckets:
        threads.append(threading.current_thread())
        return aggregate(*args)

    monkeypatch.setattr(Buckets, "of", recorded)

    await run(plant, a_task(a_spec(dataset={"aggregation": method}), REQUESTED))

    assert [thread is not threading.main_thread() for thread in threads] == [in_thread]


async def test_looking_back_is_a_part_of_reading(monkeypatch: pytest.MonkeyPatch):
    plant, look_back = Plant(), MemorySensors.get_last_before

    async def slowly(*args: Any) -> Any:
        plant.clock.jump(timedelta(seconds=7))
        return await look_back(*args)

    monkeypatch.setattr(MemorySensors, "get_last_before", slowly)
    plant.sensors.readings["b"] = every_minute(at("09:30"), at("23:59"))

    _, progress = await run(plant)

    assert progress.spent == 7
    assert seconds(plant) == {"read": 7, "frame": 0, "predict": 0, "write": 0}


async def test_too_many_buckets_end_the_progress_at_the_frame(monkeypatch: pytest.MonkeyPatch):
    plant = Plant()
    progress = plant.progress(a_task(span=REQUESTED))

    def refuse(*_args: Any) -> Buckets:
        raise TooLarge("2 tags by 12 labels are more than 1 values")

    monkeypatch.setattr(Buckets, "of", refuse)

    with pytest.raises(TooLarge) as error:
        await plant.pipeline.run(progress)

    assert isinstance(settlement := settlement_of(error.value, progress), Split)
    assert settlement.detail == "frame: 2 tags by 12 labels are more than 1 values"


async def test_doing_it_twice_changes_nothing():
    plant = Plant()

    first, progress = await run(plant)
    points = dict(plant.stores[0].points[progress.task.ref])
    second, _ = await run(plant)

    assert first == second
    assert plant.stores[0].points[progress.task.ref] == points


# --- writers ----------------------------------------------------------------------------------------------------------


def compare(plant: Plant, *compares: bool) -> None:
    """Say which of the sinks compare writers."""
    for store, value in zip(plant.stores, compares, strict=True):
        store.fenced = value


async def test_only_before_a_sink_that_cannot_compare_writers_the_claim_is_checked():
    plant = Plant()
    compare(plant, True, False)

    await run(plant)
    assert plant.ledger.log == [("begin_write", 1)]

    plant.ledger.log.clear()
    await run(plant, None, "sink/second")
    assert plant.ledger.log == []


async def test_after_a_lost_claim_nothing_is_written_to_a_sink_that_cannot_compare():
    plant = Plant()
    compare(plant, False, False)
    progress = plant.progress(a_task(span=REQUESTED))
    plant.ledger.lost.add(1)

    with pytest.raises(ClaimLost):
        await plant.pipeline.run(progress)

    assert [store.writes for store in plant.stores] == [[], []]


async def test_the_claim_is_checked_anew_before_each_of_several_sinks():
    plant = Plant("sink/second")
    compare(plant, False, False)
    progress = plant.progress(a_task(span=REQUESTED))
    plant.stores[0].hold.clear()
    running = asyncio.create_task(plant.pipeline.run(progress))
    await eventually(lambda: plant.stores[0].begun, what="the first write begins")

    plant.ledger.lost.add(1)
    plant.stores[0].hold.set()

    with pytest.raises(ClaimLost):
        await running
    assert [len(store.writes) for store in plant.stores] == [1, 0]


@pytest.mark.parametrize(
    ("error", "may_arrive"),
    [
        (TimedOut("60 s", downstream="sink/first"), True),
        (Unavailable("503", downstream="sink/first"), False),
        (Rejected("400", reason=Reason.WRITE_REFUSED), False),
        (asyncio.CancelledError(), True),
    ],
    ids=["no answer", "unavailable", "refused", "cut off"],
)
async def test_only_a_write_without_an_answer_may_still_arrive(error: BaseException, may_arrive: bool):
    plant = Plant()
    compare(plant, False, True)
    progress = plant.progress(a_task(span=REQUESTED))

    async def fail(predictions: Predictions, fence: Fence) -> Written:  # noqa: ARG001 - as the protocol has it
        raise error

    plant.stores[0].put_predictions = fail  # type: ignore[method-assign]  # an outage
    with pytest.raises(type(error)):
        await plant.pipeline.run(progress)

    assert progress.guard.gave_up is may_arrive


@pytest.mark.parametrize("compares", [False, True])
async def test_an_attempt_whose_write_had_no_answer_says_so_if_its_sink_cannot_compare_writers(compares: bool):
    plant = Plant()
    compare(plant, compares, True)
    progress = plant.progress(a_task(span=REQUESTED))
    plant.stores[0].errors = [error := TimedOut("60 s", downstream="sink/first")]

    with pytest.raises(TimedOut):
        await plant.pipeline.run(progress)

    assert settlement_of(error, progress) == Retry("write: 60 s", stored_in=[], may_arrive=not compares)


async def test_a_write_that_other_tasks_have_no_answer_to_either_may_still_arrive():
    plant = Plant()
    compare(plant, False, True)
    plant.stores[0].errors = [TimedOut("60 s", downstream="sink/first") for _ in range(2)]
    other = plant.progress(a_task(a_spec(name="pump-002"), REQUESTED))
    with pytest.raises(TimedOut):
        await plant.pipeline.run(other)
    progress = plant.progress(a_task(span=REQUESTED))

    with pytest.raises(Unavailable) as raised:
        await plant.pipeline.run(progress)

    assert settlement_of(raised.value, progress) == Deferred("write: 60 s", "sink/first", stored_in=[], may_arrive=True)


async def test_while_the_claim_cannot_be_checked_the_write_waits():
    plant = Plant()
    compare(plant, False, True)
    progress = plant.progress(a_task(span=REQUESTED))
    plant.ledger.unavailable = True
    running = asyncio.create_task(plant.pipeline.run(progress))
    await eventually(lambda: plant.clock.sleepers, what="it waits for the ledger")
    assert [store.writes for store in plant.stores] == [[], []]

    plant.ledger.unavailable = False
    await plant.clock.advance(timedelta(seconds=1))

    assert (await running).outcome is Outcome.STORED


@pytest.mark.parametrize("lost", [True, False])
async def test_what_a_newer_writer_left_is_neither_replaced_nor_covered(lost: bool):
    plant = Plant()
    task = a_task(span=REQUESTED)
    progress = plant.progress(task)
    await plant.stores[0].put_predictions(
        (await plant.models.execute_model(task.model, REQUESTED, *two_frames())).predictions,
        progress.guard.fence._replace(epoch=task.epoch + 1),
    )
    before = dict(plant.stores[0].points[task.ref])
    if lost:
        plant.ledger.lost.add(task.id)

    with pytest.raises(ClaimLost if lost else Unavailable) as raised:
        await plant.pipeline.run(progress)

    assert plant.ledger.mismatches == ([] if lost else [MismatchKind.NEWER_PREDICTIONS])
    assert getattr(raised.value, "alarm", False) is not lost
    assert plant.stores[0].points[task.ref].items() >= before.items()
    assert progress.stored_in == set()


def two_frames() -> tuple[Frame, Frame]:
    """X and y with one row, in the middle of `REQUESTED`."""
    frame = Frame(np.array([to_ns(at("10:30"))], np.int64), ("a", "b"), np.array([[70.0, 80.0]]))
    return frame, frame


# --- several sources --------------------------------------------------------------------------------------------------


class Source(MemorySensors):
    """Sensors that may be unavailable; counts the reads."""

    def __init__(self, name: str, readings: Mapping[str, Series]) -> None:
        super().__init__(dict(readings), name=name)
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.reads = 0

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        self.reads += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return await super().get_data_for_range(tags, window, max_bytes=max_bytes)


def of_two_sources(plant: Plant) -> tuple[Source, Source]:
    """Read a from one source and b from another one."""
    readings = plant.sensors.readings
    first, second = Source("first", {"a": readings["a"]}), Source("second", {"b": readings["b"]})
    plant.pipeline = replace(plant.pipeline, sensors=RoutedSensors([first, second], Routing([["a"], []])))
    return first, second


async def test_a_model_may_take_its_tags_from_several_sources():
    apart, alone = Plant(), Plant()
    for plant in (apart, alone):
        plant.sensors.readings["b"] = every_minute(at("09:30"), at("23:59"), 7.0)  # its beginning is looked back for
    of_two_sources(apart)

    (settlement, _), (expected, _) = await run(apart), await run(alone)

    ((_, _, x),), ((_, _, same),) = apart.models.calls, alone.models.calls
    assert settlement == expected
    assert (x.times.tolist(), x.columns, x.values.tolist()) == (same.times.tolist(), same.columns, same.values.tolist())


async def test_each_source_has_its_own_circuit_and_a_task_fails_with_that_of_the_unavailable_one():
    plant = Plant()
    first, second = of_two_sources(plant)
    second.error = Unavailable("no answer", downstream="sensors/second")
    progress = plant.progress(a_task(span=REQUESTED))

    errors = []
    for _ in range(6):
        with pytest.raises(Unavailable) as raised:
            await plant.pipeline.run(progress)
        errors.append(raised.value)
    of_first = plant.progress(a_task(a_spec(tags=("a",)), REQUESTED))

    assert {error.downstream for error in errors} == {"sensors/second"}
    assert isinstance(errors[-1], CircuitOpen)
    assert set(plant.ledger.board.open) == {"sensors/second"}
    assert (first.reads, second.reads) == (5, 5)  # once the circuit is open, the other source is not asked in vain
    assert settlement_of(errors[-1], progress).outcome is Outcome.DEFERRED
    assert (await plant.pipeline.run(of_first)).outcome is Outcome.STORED


async def test_a_probe_of_two_sources_closes_the_circuit_of_the_one_that_answers():
    plant = Plant()
    _, second = of_two_sources(plant)
    second.error = Unavailable("no answer", downstream="sensors/second")
    for name in ("sensors/first", "sensors/second"):
        plant.ledger.board.set(a_circuit(name))
    await plant.board.refresh()

    with pytest.raises(Unavailable):
        await plant.pipeline.run(plant.progress(a_task(span=REQUESTED, probe=True)))

    assert set(plant.ledger.board.open) == {"sensors/second"}


async def test_reads_at_the_same_time_count_once_towards_the_hard_limit_which_names_the_slow_source():
    plant = Plant(hard_limit=timedelta(seconds=0.05))
    _, second = of_two_sources(plant)
    second.hold = asyncio.Event()
    progress = plant.progress(a_task(span=REQUESTED))

    with pytest.raises(TimedOut) as raised:
        await plant.pipeline.run(progress)

    assert raised.value.downstream == "sensors/second"
    assert (progress.calls, progress.call_started) == (0, None)


async def test_the_readings_of_all_sources_share_the_budget():
    plant = Plant(budget=4 * 2 * 1200 * 16)  # a read may take 1200 readings of each tag
    first, second = of_two_sources(plant)
    first.readings["a"], second.readings["b"] = every_minute(at("00:00"), at("23:59")), Series.empty()

    settlement, _ = await run(plant, a_task(span=window("00:00", "23:00")))
    second.readings["b"] = every_minute(at("00:00"), at("23:59"))
    with pytest.raises(TooLarge):
        await run(plant, a_task(span=window("00:00", "23:00")))

    assert settlement.outcome is Outcome.STORED
    assert plant.budget.held == 0


# --- receipt ----------------------------------------------------------------------------------------------------------


async def test_a_receipt_has_what_was_read_written_and_waited_for():
    plant = Plant()

    settlement, progress = await run(plant)

    receipt = progress.receipt(elapsed=1.25)
    assert (receipt.elapsed, receipt.sinks) == (1250, ("sink/first", "sink/second"))
    assert receipt.inputs is not None
    assert (receipt.inputs.rows, receipt.inputs.labels) == ((settlement.rows,) * 2, settlement.rows)
    assert set(receipt.stages) == {"read", "frame", "predict", "write"}


async def test_a_sink_that_had_the_result_before_is_named_and_one_that_failed_is_not():
    plant = Plant()
    plant.stores[1].errors = [REFUSED]

    progress = plant.progress(a_task(span=REQUESTED), "sink/first")
    with pytest.raises(Rejected):
        await plant.pipeline.run(progress)

    assert progress.receipt(elapsed=0).sinks == ("sink/first",)


async def test_a_task_that_could_not_read_has_a_receipt_without_readings():
    plant = Plant(budget=1)

    progress = plant.progress(a_task(span=REQUESTED))
    with pytest.raises(TooLarge):
        await plant.pipeline.run(progress)

    receipt = progress.receipt(elapsed=0.5)
    assert (receipt.inputs, receipt.sinks, receipt.score) == (None, (), None)
    assert "predict" not in receipt.stages
