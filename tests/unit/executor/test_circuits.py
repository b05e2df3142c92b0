"""Who is believed to be away."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from latigo.domain.errors import CircuitOpen, Failed, LatigoError, PartlyDown, Reason, Rejected, TimedOut, Unavailable
from latigo.domain.model import ModelRef
from latigo.executor.circuits import CircuitBoard, CircuitRules
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork

GORDO, SINK = "gordo/plant", "sink/postgres"
PUMP, FAN = ModelRef("plant", "pump"), ModelRef("plant", "fan")
SECOND = timedelta(seconds=1)
AWAY = Unavailable("503", downstream=GORDO)
SLOW = TimedOut("300 s", downstream=GORDO)


class World:
    """A ledger and the boards of any number of processes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryWork(self.clock)
        self.board = self.another()

    def another(self) -> CircuitBoard:
        return CircuitBoard(self.ledger, CircuitRules())

    async def call(
        self, *ends: LatigoError | None, model: ModelRef = PUMP, probe: bool = False, board: CircuitBoard | None = None
    ) -> list[type[BaseException] | None]:
        """Calls to Gordo that end so; how each was told to its caller."""
        told: list[type[BaseException] | None] = []
        for end in ends:
            try:
                async with (board or self.board).call(GORDO, model, probe=probe):
                    if end is not None:
                        raise end
                told.append(None)
            except LatigoError as error:
                told.append(type(error))
        return told

    @property
    def is_open(self) -> bool:
        assert (GORDO in self.ledger.board.open) == self.board.is_open(GORDO)
        return self.board.is_open(GORDO)


async def test_five_failures_in_a_row_open_the_circuit():
    world = World()

    await world.call(*[AWAY] * 4)
    before = world.is_open
    await world.call(AWAY)

    assert (before, world.is_open) == (False, True)
    assert world.ledger.board.open[GORDO].pause == 15 * SECOND
    assert world.ledger.board.open[GORDO].reason == "503"


async def test_an_answer_in_between_starts_the_row_anew():
    world = World()

    await world.call(*[AWAY] * 4, None, *[AWAY] * 4)

    assert not world.is_open


@pytest.mark.parametrize(("failures", "opens"), [(9, False), (10, True)])
async def test_half_of_the_last_twenty_open_the_circuit(failures: int, opens: bool):
    world = World()
    pattern: list[LatigoError | None] = [None] * (20 - failures)
    for place in range(failures):
        pattern.insert(2 * place, AWAY)

    await world.call(*pattern[:20], AWAY if opens else None)

    assert world.is_open is opens


async def test_fewer_than_twenty_calls_are_not_judged_by_their_share():
    world = World()

    await world.call(*[AWAY, AWAY, AWAY, AWAY, None] * 3, AWAY, AWAY, AWAY, None)  # 19, of which 15 failed
    before = world.is_open
    await world.call(AWAY)

    assert (before, world.is_open) == (False, True)


async def test_that_it_said_no_is_an_answer():
    world = World()

    told = await world.call(*[AWAY] * 4, Rejected("400", reason=Reason.VALUES_REFUSED), *[AWAY] * 4, Failed("500"))

    assert told[4] is Rejected
    assert not world.is_open


async def test_that_a_part_of_it_is_away_stops_none_who_do_not_need_it():
    world = World()
    part = PartlyDown("half written", downstream=GORDO)

    told = await world.call(*[part] * 25)
    before = world.is_open
    await world.call(*[AWAY] * 5)
    await world.call(part, probe=True)

    assert set(told) == {PartlyDown}
    assert (before, world.is_open) == (False, False)


async def test_a_bug_of_ours_says_nothing_about_the_downstream():
    world = World()
    await world.call(*[AWAY] * 4)

    with pytest.raises(KeyError):
        async with world.board.call(GORDO, PUMP, probe=False):
            raise KeyError
    await world.call(AWAY)

    assert world.is_open


# --- time-outs --------------------------------------------------------------------------------------------------------


async def test_time_outs_of_one_model_alone_are_its_own_affair():
    world = World()

    told = await world.call(*[SLOW] * 12)

    assert set(told) == {TimedOut}
    assert not world.is_open


async def test_time_outs_of_several_models_mean_that_the_server_is_away():
    world = World()
    await world.call(SLOW, model=PUMP)

    told = [*await world.call(SLOW, model=FAN), *await world.call(*[SLOW] * 4, model=PUMP)]

    assert set(told) == {Unavailable}
    assert world.is_open


async def test_an_answer_makes_earlier_time_outs_of_others_forgotten():
    world = World()

    await world.call(SLOW, model=PUMP)
    await world.call(None, model=FAN)

    assert await world.call(SLOW, model=FAN) == [TimedOut]


# --- an open circuit --------------------------------------------------------------------------------------------------


async def test_an_open_circuit_refuses_without_calling():
    world = World()
    await world.call(*[AWAY] * 5)

    with pytest.raises(CircuitOpen) as refused:
        async with world.board.call(GORDO, PUMP, probe=False):
            raise AssertionError("it was called")

    assert refused.value.downstream == GORDO


async def test_other_downstreams_go_on():
    world = World()
    await world.call(*[AWAY] * 5)

    async with world.board.call(SINK, PUMP, probe=False):
        pass

    assert not world.board.is_open(SINK)


async def test_an_alarm_opens_at_once_and_is_told_to_operators():
    world = World()

    with structlog.testing.capture_logs() as logs:
        await world.call(Unavailable("401", downstream=GORDO, alarm=True))

    assert world.is_open
    assert world.ledger.board.open[GORDO].alarm
    assert [(log["event"], log["log_level"]) for log in logs] == [("circuit.opened", "error")]


async def test_the_pause_is_at_least_what_the_downstream_asks_for():
    world = World()

    await world.call(*[AWAY] * 4, Unavailable("429", downstream=GORDO, retry_after=90 * SECOND))

    assert world.ledger.board.open[GORDO].pause == 90 * SECOND


async def test_a_probe_that_is_answered_closes_the_circuit_for_everyone():
    world = World()
    other = world.another()
    await world.call(*[AWAY] * 5)
    await other.refresh()
    assert other.is_open(GORDO)

    await world.call(None, probe=True, board=other)
    await world.board.refresh()

    assert not other.is_open(GORDO)
    assert not world.is_open
    assert await world.call(*[AWAY] * 4, None) == [Unavailable] * 4 + [None]


@pytest.mark.parametrize("end", [Rejected("400", reason=Reason.VALUES_REFUSED), Failed("500")])
async def test_a_probe_that_is_told_no_closes_the_circuit_as_well(end: LatigoError):
    world = World()
    await world.call(*[AWAY] * 5)

    assert await world.call(end, probe=True) == [type(end)]

    assert not world.is_open


@pytest.mark.parametrize("end", [AWAY, SLOW])
async def test_a_probe_that_finds_nobody_doubles_the_pause_up_to_two_minutes(end: Unavailable):
    world = World()
    await world.call(*[AWAY] * 5)
    pauses = []

    for _ in range(5):
        assert await world.call(end, probe=True) == [Unavailable]
        pauses.append(world.ledger.board.open[GORDO].pause / SECOND)

    assert pauses == [30, 60, 120, 120, 120]
    assert world.is_open


@pytest.mark.parametrize("end", [None, AWAY])
async def test_calls_that_were_under_way_when_it_opened_neither_close_nor_prolong_it(end: LatigoError | None):
    world, opened = World(), asyncio.Event()

    async def under_way() -> None:
        async with world.board.call(GORDO, FAN, probe=False):
            await opened.wait()
            if end:
                raise end

    calls = [asyncio.create_task(under_way()) for _ in range(6)]
    await asyncio.sleep(0)
    await world.call(*[AWAY] * 5)
    opened.set()
    await asyncio.gather(*calls, return_exceptions=True)

    assert world.is_open
    assert world.ledger.board.open[GORDO].pause == 15 * SECOND


async def test_what_others_have_found_out_is_learned():
    world = World()
    other = world.another()
    await world.call(*[AWAY] * 5)

    await other.refresh()
    assert await world.call(None, board=other) == [CircuitOpen]
    world.ledger.board.open.clear()
    await other.refresh()

    assert await world.call(None, board=other) == [None]


async def test_only_one_may_probe_what_nothing_waits_for_and_only_when_it_is_due():
    world = World()
    other = world.another()
    await world.call(*[AWAY] * 5)
    await world.board.refresh()
    early = await world.board.may_probe(GORDO)

    await world.clock.advance(15 * SECOND)
    await world.board.refresh()
    await other.refresh()
    turns = [await world.board.may_probe(GORDO), await other.may_probe(GORDO), await world.board.may_probe(SINK)]

    assert (early, turns) == (False, [True, False, False])
