"""Gordo at 60 % of the rate that is needed, for six hours: waiting times, and duplicate work."""

import statistics
from collections import defaultdict
from datetime import datetime, timedelta

from benchmarks.report import Row
from benchmarks.simulation import DELAY, SLOT, Simulation, simulation

MODELS = 240
LASTS = timedelta(hours=6)
SHARE = 0.6
TICK = timedelta(seconds=10)
#: Of task_queue.max_outstanding, which at this rate is its lower bound.
BOUND = 64


async def measure() -> list[Row]:
    async with simulation() as simulated:
        # Before, everything was well: one slot each is covered.
        await simulated.add_models(MODELS, horizon=SLOT)
        while await simulated.count("SELECT count(*) FROM coverage WHERE isempty(covered)"):
            await simulated.plan()
            await simulated.work(MODELS)
        waits, most_out = await _overloaded(simulated)
        means = {model: statistics.mean(each) for model, each in waits.items()}
        mean = statistics.mean(wait for each in waits.values() for wait in each)
        longest = max(max(each) for each in waits.values())
        twice = await simulated.count(
            "SELECT count(*) FROM task_history a JOIN task_history b USING (model_id) "
            "WHERE a.id < b.id AND a.span && b.span"
        )
        parked = await simulated.count("SELECT count(*) FROM parked")
        what = f"overload, {SHARE:.0%} of the needed rate for 6 h, {MODELS} models"
        return [
            Row(
                f"{what}: longest wait of any",
                f"{longest:.0f} min",
                f"mean {mean:.0f} min",
                longest / mean,
                at_most=2.0,
            ),
            Row(
                f"{what}: the model that waits longest on average",
                f"{max(means.values()):.0f} min",
                f"mean {mean:.0f} min",
                max(means.values()) / mean,
                at_most=2.0,
            ),
            Row(f"{what}: tasks out", f"{most_out}", f"{BOUND}", most_out / BOUND, at_most=1.0),
            Row(f"{what}: parked, or done twice", f"{parked}, {twice}", "0", float(parked + twice), at_most=0.0),
        ]


async def _overloaded(simulated: Simulation) -> tuple[dict[str, list[float]], int]:
    """Minutes from the moment at which a window's first slot fell due to its settling, by model; the most tasks out."""
    waits: dict[str, list[float]] = defaultdict(list)
    can_do, most_out = 0.0, 0
    rate = SHARE * MODELS * (TICK / SLOT)
    start = simulated.clock.time
    while simulated.clock.time < start + LASTS:
        await simulated.set_clock(simulated.clock.time + TICK)
        can_do += rate
        await simulated.plan()
        most_out = max(most_out, await simulated.count("SELECT count(*) FROM task WHERE state <> 'waiting'"))
        for task in await simulated.work(int(can_do)):
            can_do -= 1
            due: datetime = task.window.start + SLOT + DELAY
            waits[str(task.ref)].append((simulated.clock.time - due) / timedelta(minutes=1))
        can_do = min(can_do, 1.0)  # what was not used is gone
    return waits, most_out
