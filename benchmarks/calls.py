"""Number of calls to Gordo for catching up, against the fewest that ``max_window`` allows."""

import math
from datetime import timedelta

from benchmarks.report import Row
from benchmarks.simulation import BEGIN, DELAY, MAX_WINDOW, SLOT, Simulation, simulation
from latigo.domain.windows import DAY

MODELS = 1000
TICK = timedelta(seconds=10)
#: While nothing can be done.
LONG_TICK = timedelta(minutes=2)


async def measure() -> list[Row]:
    six_hours = timedelta(hours=6)
    return [
        await _new_plant(MODELS // 5, 7 * DAY),
        await _all_stopped(MODELS, six_hours),
        await _all_stopped(MODELS // 2, timedelta(hours=30)),
        await _executors_stopped(MODELS, six_hours),
    ]


async def _new_plant(models: int, horizon: timedelta) -> Row:
    async with simulation() as simulated:
        await simulated.add_models(models, horizon)
        return _row(f"of {models} new models, horizon 7 d", models, horizon, await _catch_up(simulated))


async def _all_stopped(models: int, outage: timedelta) -> Row:
    async with simulation() as simulated:
        await simulated.add_models(models, SLOT)
        await _catch_up(simulated)
        await simulated.set_clock(BEGIN + outage)
        return _row(f"of {models} models after {outage} without Latigo", models, outage, await _catch_up(simulated))


async def _executors_stopped(models: int, outage: timedelta) -> Row:
    """The worst case: what the scheduler has put into the queue at the beginning waits there as it is."""
    async with simulation() as simulated:
        await simulated.add_models(models, SLOT)
        await _catch_up(simulated)
        while simulated.clock.time < BEGIN + outage:
            await simulated.set_clock(min(simulated.clock.time + LONG_TICK, BEGIN + outage))
            await simulated.plan()
        return _row(f"of {models} models after {outage} without executors", models, outage, await _catch_up(simulated))


def _row(name: str, models: int, missing: timedelta, calls: int) -> Row:
    fewest = models * math.ceil(missing / MAX_WINDOW)
    slots = models * (missing // SLOT)
    return Row(
        f"calls to Gordo {name}",
        f"{calls} ({calls / slots:.4f} a slot)",
        f"{fewest} ({fewest / slots:.4f} a slot)",
        calls / fewest,
        at_most=1.1,
    )


async def _catch_up(simulated: Simulation) -> int:
    """Work until nothing is missing, fast enough for no other slot to fall due meanwhile; how many calls it took."""
    due = simulated.clock.time + SLOT - DELAY
    calls = 0
    while True:
        await simulated.plan()
        done = await simulated.work(64)
        calls += len(done)
        if not done and not await simulated.count("SELECT count(*) FROM model_holes WHERE NOT isempty(holes)"):
            return calls
        await simulated.set_clock(simulated.clock.time + TICK)
        if simulated.clock.time >= due:
            raise RuntimeError("it took so long that another slot fell due")
