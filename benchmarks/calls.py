"""How many calls to Gordo it takes to catch up, against the fewest that ``max_window`` allows."""

import math
from datetime import timedelta

from benchmarks.report import Row
from benchmarks.simulation import BEGIN, DELAY, MAX_WINDOW, SLOT, Simulation, simulation
from latigo.domain.windows import DAY

MODELS = 200
TICK = timedelta(seconds=10)
#: Calls in a tick: all is done before another slot falls due, so that what is counted is the outage alone.
RATE = 12


async def measure() -> list[Row]:
    rows = []
    for name, known, missing in (
        ("after an outage of 6 h", True, timedelta(hours=6)),
        ("after an outage of 30 h", True, timedelta(hours=30)),
        ("of a new plant with a horizon of 7 d", False, 7 * DAY),
    ):
        async with simulation() as world:
            if known:
                await world.add_models(MODELS, horizon=SLOT)
                await _catch_up(world)
                await world.set_clock(BEGIN + missing)
            else:
                await world.add_models(MODELS, horizon=missing)
            fewest = MODELS * math.ceil(missing / MAX_WINDOW)
            calls = await _catch_up(world)
            slots = MODELS * (missing // SLOT)
            rows.append(
                Row(
                    f"calls to Gordo {name}, {MODELS} models",
                    f"{calls} calls, {calls / slots:.4f} a slot",
                    f"{fewest} calls, {fewest / slots:.4f} a slot",
                    calls / fewest,
                    at_most=1.1,
                )
            )
    return rows


async def _catch_up(world: Simulation) -> int:
    """Work until nothing is missing; how many calls it took."""
    began = world.clock.time
    calls = 0
    while True:
        await world.plan()
        done = await world.work(RATE)
        calls += len(done)
        if not done and not await world.count("SELECT count(*) FROM model_holes WHERE NOT isempty(holes)"):
            return calls
        await world.set_clock(world.clock.time + TICK)
        if world.clock.time - began >= SLOT - DELAY:
            raise RuntimeError("it took so long that another slot fell due")
