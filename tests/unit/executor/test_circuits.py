"""Circuits: when calls to a downstream stop, and when they resume."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta

import pytest
import structlog

from latigo.domain.circuits import System
from latigo.domain.errors import CircuitOpen, Failed, LatigoError, PartlyDown, Reason, Rejected, TimedOut, Unavailable
from latigo.domain.model import ModelRef
from latigo.executor.circuits import CircuitBoard
from tests.support.build import circuit_rules
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork

GORDO, SINK = "gordo/plant", "sink/postgres"
PUMP, FAN = ModelRef("plant", "pump"), ModelRef("plant", "fan")
SECOND = timedelta(seconds=1)
UNAVAILABLE = Unavailable("503", downstream=GORDO)
SLOW = TimedOut("300 s", downstream=GORDO)


class Harness:
    """A ledger and the circuit boards of any number of processes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryWork(self.clock)
        self.board = self.another()

    def another(self) -> CircuitBoard:
        return CircuitBoard(self.ledger, circuit_rules())

    async def call(
        self, *ends: LatigoError | None, model: ModelRef = PUMP, probe: bool = False, board: CircuitBoard | None = None
    ) -> list[type[BaseException] | None]:
        """Call Gordo with these results; return the exception of each call."""
        raised: list[type[BaseException] | None] = []
        for end in ends:
            try:
                async with (board or self.board).call(GORDO, model, probe=probe):
                    if end is not None:
                        raise end
                raised.append(None)
            except LatigoError as error:
                raised.append(type(error))
        return raised

    @property
    def is_open(self) -> bool:
        assert (GORDO in self.ledger.board.open) == self.board.is_open(GORDO)
        return self.board.is_open(GORDO)


async def test_five_failures_in_a_row_open_the_circuit():
    harness = Harness()

    await harness.call(*[UNAVAILABLE] * 4)
    before = harness.is_open
    await harness.call(UNAVAILABLE)

    assert (before, harness.is_open) == (False, True)
    assert harness.ledger.board.open[GORDO].pause == 15 * SECOND
    assert harness.ledger.board.open[GORDO].reason == "503"


async def test_an_answer_in_between_starts_the_row_anew():
    harness = Harness()

    await harness.call(*[UNAVAILABLE] * 4, None, *[UNAVAILABLE] * 4)

    assert not harness.is_open


@pytest.mark.parametrize(("failures", "opens"), [(9, False), (10, True)])
async def test_half_of_the_last_twenty_open_the_circuit(failures: int, opens: bool):
    harness = Harness()
    pattern: list[LatigoError | None] = [None] * (20 - failures)
    for place in range(failures):
        pattern.insert(2 * place, UNAVAILABLE)

    await harness.call(*pattern[:20], UNAVAILABLE if opens else None)

    assert harness.is_open is opens


async def test_fewer_than_twenty_calls_are_not_judged_by_their_share():
    harness = Harness()

    await harness.call(
        *[UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, None] * 3, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, None
    )  # 19, of which 15 failed
    before = harness.is_open
    await harness.call(UNAVAILABLE)

    assert (before, harness.is_open) == (False, True)


async def test_a_rejection_is_an_answer():
    harness = Harness()

    raised = await harness.call(
        *[UNAVAILABLE] * 4, Rejected("400", reason=Reason.VALUES_REFUSED), *[UNAVAILABLE] * 4, Failed("500")
    )

    assert raised[4] is Rejected
    assert not harness.is_open


async def test_an_unavailable_part_stops_no_call_that_does_not_need_it():
    harness = Harness()
    part = PartlyDown("half written", downstream=GORDO)

    raised = await harness.call(*[part] * 25)
    before = harness.is_open
    await harness.call(*[UNAVAILABLE] * 5)
    await harness.call(part, probe=True)

    assert set(raised) == {PartlyDown}
    assert (before, harness.is_open) == (False, False)


async def test_a_bug_of_ours_says_nothing_about_the_downstream():
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 4)

    with pytest.raises(KeyError):
        async with harness.board.call(GORDO, PUMP, probe=False):
            raise KeyError
    await harness.call(UNAVAILABLE)

    assert harness.is_open


# --- time-outs --------------------------------------------------------------------------------------------------------


async def test_time_outs_of_one_model_do_not_open_the_circuit():
    harness = Harness()

    raised = await harness.call(*[SLOW] * 12)

    assert set(raised) == {TimedOut}
    assert not harness.is_open


async def test_time_outs_of_several_models_mean_that_the_server_is_unavailable():
    harness = Harness()
    await harness.call(SLOW, model=PUMP)

    raised = [*await harness.call(SLOW, model=FAN), *await harness.call(*[SLOW] * 4, model=PUMP)]

    assert set(raised) == {Unavailable}
    assert harness.is_open


async def test_an_answer_makes_earlier_time_outs_of_others_forgotten():
    harness = Harness()

    await harness.call(SLOW, model=PUMP)
    await harness.call(None, model=FAN)

    assert await harness.call(SLOW, model=FAN) == [TimedOut]


# --- an open circuit --------------------------------------------------------------------------------------------------


async def test_an_open_circuit_refuses_without_calling():
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 5)

    with pytest.raises(CircuitOpen) as refused:
        async with harness.board.call(GORDO, PUMP, probe=False):
            raise AssertionError("it was called")

    assert refused.value.downstream == GORDO


async def test_other_downstreams_go_on():
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 5)

    async with harness.board.call(SINK, PUMP, probe=False):
        pass

    assert not harness.board.is_open(SINK)


async def test_an_alarm_opens_at_once_and_is_shown_to_operators():
    harness = Harness()

    with structlog.testing.capture_logs() as logs:
        await harness.call(Unavailable("401", downstream=GORDO, alarm=True))

    assert harness.is_open
    assert harness.ledger.board.open[GORDO].alarm
    assert [(log["event"], log["log_level"]) for log in logs] == [("circuit.opened", "error")]


async def test_the_pause_is_at_least_what_the_downstream_asks_for():
    harness = Harness()

    await harness.call(*[UNAVAILABLE] * 4, Unavailable("429", downstream=GORDO, retry_after=90 * SECOND))

    assert harness.ledger.board.open[GORDO].pause == 90 * SECOND


async def test_a_probe_that_is_answered_closes_the_circuit_for_everyone():
    harness = Harness()
    other = harness.another()
    await harness.call(*[UNAVAILABLE] * 5)
    await other.refresh()
    assert other.is_open(GORDO)

    await harness.call(None, probe=True, board=other)
    await harness.board.refresh()

    assert not other.is_open(GORDO)
    assert not harness.is_open
    assert await harness.call(*[UNAVAILABLE] * 4, None) == [Unavailable] * 4 + [None]


@pytest.mark.parametrize("end", [Rejected("400", reason=Reason.VALUES_REFUSED), Failed("500")])
async def test_a_rejected_probe_closes_the_circuit_as_well(end: LatigoError):
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 5)

    assert await harness.call(end, probe=True) == [type(end)]

    assert not harness.is_open


@pytest.mark.parametrize("end", [UNAVAILABLE, SLOW])
async def test_a_failed_probe_doubles_the_pause_up_to_two_minutes(end: Unavailable):
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 5)
    pauses = []

    for _ in range(5):
        assert await harness.call(end, probe=True) == [Unavailable]
        pauses.append(harness.ledger.board.open[GORDO].pause / SECOND)

    assert pauses == [30, 60, 120, 120, 120]
    assert harness.is_open


@pytest.mark.parametrize("end", [None, UNAVAILABLE])
async def test_calls_that_were_under_way_when_it_opened_neither_close_nor_prolong_it(end: LatigoError | None):
    harness, opened = Harness(), asyncio.Event()

    async def under_way() -> None:
        async with harness.board.call(GORDO, FAN, probe=False):
            await opened.wait()
            if end:
                raise end

    calls = [asyncio.create_task(under_way()) for _ in range(6)]
    await asyncio.sleep(0)
    await harness.call(*[UNAVAILABLE] * 5)
    opened.set()
    await asyncio.gather(*calls, return_exceptions=True)

    assert harness.is_open
    assert harness.ledger.board.open[GORDO].pause == 15 * SECOND


async def test_what_others_have_found_out_is_learned():
    harness = Harness()
    other = harness.another()
    await harness.call(*[UNAVAILABLE] * 5)

    await other.refresh()
    assert await harness.call(None, board=other) == [CircuitOpen]
    harness.ledger.board.open.clear()
    await other.refresh()

    assert await harness.call(None, board=other) == [None]


async def test_only_one_may_probe_what_nothing_waits_for_and_only_when_it_is_due():
    harness = Harness()
    other = harness.another()
    await harness.call(*[UNAVAILABLE] * 5)
    await harness.board.refresh()
    early = await harness.board.may_probe(GORDO)

    await harness.clock.advance(15 * SECOND)
    await harness.board.refresh()
    await other.refresh()
    turns = [await harness.board.may_probe(GORDO), await other.may_probe(GORDO), await harness.board.may_probe(SINK)]

    assert (early, turns) == (False, [True, False, False])


async def test_while_the_ledger_is_unavailable_nothing_is_probed():
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 5)
    await harness.clock.advance(15 * SECOND)
    await harness.board.refresh()
    harness.ledger.unavailable = True

    assert not await harness.board.may_probe(GORDO)


@pytest.mark.parametrize("end", [None, Rejected("400", reason=Reason.VALUES_REFUSED), UNAVAILABLE])
async def test_while_the_ledger_is_unavailable_a_probe_ends_as_always_and_the_next_one_closes_the_circuit(
    end: LatigoError | None,
):
    harness = Harness()
    await harness.call(*[UNAVAILABLE] * 5)
    harness.ledger.unavailable = True

    with nullcontext() if end is None else pytest.raises(type(end), match=str(end)):
        async with harness.board.call(GORDO, PUMP, probe=True):
            if end is not None:
                raise end
    harness.ledger.unavailable = False
    await harness.board.refresh()
    before = harness.is_open
    await harness.call(None, probe=True)

    assert (before, harness.is_open) == (True, False)


async def test_a_circuit_that_opens_while_the_ledger_is_unavailable_is_opened_for_all_by_the_next_failure():
    harness = Harness()
    harness.ledger.unavailable = True

    for _ in range(5):
        with pytest.raises(Unavailable, match="503"):
            async with harness.board.call(GORDO, PUMP, probe=False):
                raise UNAVAILABLE
    meanwhile = harness.board.is_open(GORDO)
    harness.ledger.unavailable = False
    await harness.board.refresh()
    await harness.call(UNAVAILABLE)

    assert (meanwhile, harness.is_open) == (True, True)


async def test_circuits_of_servers_that_are_gone_are_closed_and_no_others():
    harness = Harness()
    gone, there, of_others = "gordo-server/10.0.0.1", "gordo-server/10.0.0.2", "gordo-server/10.0.0.3"
    await harness.board.forget(System.MODEL_SERVER, [gone, there])
    for downstream in (gone, there, of_others, GORDO):
        await harness.ledger.open_circuit(downstream, "503", alarm=False, pause=SECOND)
    await harness.board.refresh()

    await harness.board.forget(System.MODEL_SERVER, [there])

    assert {circuit.downstream for circuit in await harness.ledger.circuits()} == {there, of_others, GORDO}
    assert [harness.board.is_open(each) for each in (gone, there, of_others)] == [False, True, True]


async def test_executors_with_different_servers_do_not_close_each_others_circuits():
    harness = Harness()
    mine, theirs = "gordo-server/10.0.0.1", "gordo-server/10.0.0.2"
    for downstream in (mine, theirs):
        await harness.ledger.open_circuit(downstream, "503", alarm=False, pause=SECOND)
    boards = {mine: harness.board, theirs: harness.another()}
    for name, board in [*boards.items()] * 2:
        await board.refresh()
        await board.forget(System.MODEL_SERVER, [name])

    assert {circuit.downstream for circuit in await harness.ledger.circuits()} == {mine, theirs}


async def test_a_server_that_no_process_probes_for_an_hour_is_forgotten():
    harness = Harness()
    orphan = "gordo-server/10.0.0.9"
    await harness.ledger.open_circuit(orphan, "503", alarm=False, pause=SECOND)
    left = []
    for wait in (59 * 60 * SECOND, 2 * 60 * SECOND):
        await harness.clock.advance(wait)
        await harness.board.refresh()
        await harness.board.forget(System.MODEL_SERVER, ["gordo-server/10.0.0.1"])
        left.append([circuit.downstream for circuit in await harness.ledger.circuits()])

    assert left == [[orphan], []]


# --- a downstream of several parts ------------------------------------------------------------------------------------

FIRST, OTHER = "gordo-server/a", "gordo-server/b"


async def test_what_a_part_raises_counts_for_the_part_and_not_for_the_whole():
    harness = Harness()

    for model in (PUMP, FAN) * 10:
        for kind in (TimedOut, Unavailable):
            with pytest.raises(kind):
                async with harness.board.call(GORDO, model, probe=False, parts=[FIRST]):
                    raise kind("300 s", downstream=FIRST)

    assert (harness.is_open, harness.board.is_open(FIRST)) == (False, False)  # it is counted by the call to the part
    assert await harness.call(SLOW, model=PUMP) == [TimedOut]


async def test_what_no_part_answers_counts_for_the_whole():
    harness = Harness()

    for _ in range(5):
        with pytest.raises(Unavailable):
            async with harness.board.call(GORDO, PUMP, probe=False, parts=[FIRST]):
                raise UNAVAILABLE

    assert harness.is_open


@pytest.mark.parametrize(("answered", "raised"), [(False, Unavailable), (True, TimedOut)])
async def test_time_outs_of_other_models_at_other_parts_count_until_one_answers(
    answered: bool, raised: type[LatigoError]
):
    harness = Harness()

    async def times_out(part: str, model: ModelRef) -> type[BaseException]:
        with pytest.raises(Unavailable) as late:
            async with harness.board.call(part, model, probe=False, whole=GORDO):
                raise TimedOut("300 s", downstream=part)
        return late.type

    first = await times_out(FIRST, PUMP)
    if answered:
        await harness.call(None, model=FAN)

    assert (first, await times_out(OTHER, FAN)) == (TimedOut, raised)
