"""A day in the life on real processes, in two minutes; `make day` is slower, and has days without each part."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from chaos.days.judge import MOST_CALLS
from chaos.days.pace import Pace, PacedClock, Piece
from chaos.days.timetable import a_day
from chaos.days.world import run
from latigo.runtime.clock import SystemClock

SPEED = 1200.0
START = datetime(2025, 10, 20, 6, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


async def test_a_day_in_the_life_of_real_processes(server_folder: Path):
    said: list[str] = []

    outcome = await run(server_folder, a_day(SPEED, models=4, new_models=6), say=said.append)

    assert [*outcome.verdict.wrong, *outcome.complaints] == [], "\n".join(said)
    assert outcome.verdict.slots > 4 * 4 * 45
    assert outcome.ratio <= MOST_CALLS


# -- its clock -------------------------------------------------------------------------------------------------------

#: An hour at 60 times the speed, a day at 8640 times, then 60 times again.
PACE = Pace(START, 1000.0, [Piece(HOUR, 60.0), Piece(DAY, 8640.0), Piece(HOUR, 60.0)])
TIMES = [
    (990.0, START - 10 * SECOND),
    (1000.0, START),
    (1030.0, START + HOUR / 2),
    (1060.0, START + HOUR),
    (1065.0, START + HOUR + DAY / 2),
    (1070.0, START + HOUR + DAY),
    (1130.0, START + 2 * HOUR + DAY),
    (1190.0, START + 3 * HOUR + DAY),
]


@pytest.mark.parametrize(("second", "time"), TIMES)
def test_time_passes_piece_by_piece(second: float, time: datetime, tmp_path: Path):
    PACE.write(tmp_path / "pace.json")

    assert Pace.read(tmp_path / "pace.json").at(second) == time
    assert PACE.second_of(time) == second


async def test_a_ledger_goes_by_the_same_clock(ledger_url: str):
    now = SystemClock().now().timestamp()
    pace = Pace(START, now - 70.0, [Piece(HOUR, 60.0), Piece(DAY, 8640.0), Piece(HOUR, 60.0)])
    clock = PacedClock(pace)
    connection = await asyncpg.connect(ledger_url)
    try:
        await connection.execute(pace.ledger_clock())
        before = clock.now()
        time = await connection.fetchval("SELECT ledger_now()")
        after = clock.now()
    finally:
        await connection.close()

    assert before - SECOND <= time <= after + SECOND


async def test_pauses_end_when_their_time_has_passed_on_the_clock():
    clock = PacedClock(Pace(START, SystemClock().now().timestamp(), [Piece(HOUR, 36_000.0)]))

    before, machine = clock.now(), SystemClock().monotonic()
    await clock.sleep(timedelta(hours=2))

    assert clock.now() - before >= timedelta(hours=2)
    assert SystemClock().monotonic() - machine < 7200
