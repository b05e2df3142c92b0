"""One soak: a world with a long past, kills spread over its tasks, and what is left of it."""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from chaos.campaign import Outcome, Say, conclude, take
from chaos.formulas import RESOLUTION
from chaos.network import Links
from chaos.plan import Action, Shape, Step
from chaos.soak.tables import Extent, count_rows, too_many
from chaos.soak.usage import Usage
from chaos.world import Size, World, open_world

#: Models: few, so that what is due meanwhile is little against the past.
MODELS = 100
#: Part of the tasks that are due when it begins; the others become due meanwhile.
_PAST = 0.95
_DOWN_S = (0.1, 3.0)
_LOOKS_EVERY_S, _SAYS_EVERY_S = 2.0, 10.0


@dataclass
class Soak:
    """The result of a run."""

    outcome: Outcome
    usage: Usage = field(default_factory=Usage)
    tasks: int = 0  #: that have ended
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)
    seconds: float = 0.0  #: from the first start to the last kill, or the end of the tasks
    rate: float = 0.0  #: tasks a second until then
    ended: dict[str, int] = field(default_factory=dict)  #: tasks by outcome
    kills: Counter[str] = field(default_factory=Counter)  #: by party
    rows: dict[str, int] = field(default_factory=dict)  #: by table
    excess: list[str] = field(default_factory=list)
    unjudged: Sequence[str] = ()  #: what there was too little of to judge, a sentence each

    def faults(self) -> Sequence[str]:
        """Return everything that is wrong, a sentence each."""
        return [*self.outcome.faults(), *self.excess]


def size_of(tasks: int, queue: str, models: int = MODELS) -> Size:
    """Return a world whose past makes about so many tasks: none is folded, and nothing waits for Gordo."""
    slot = Size.slot
    horizon = math.ceil(_PAST * tasks / models) * slot
    return Size(models=models, horizon=horizon, queue=queue, concurrency=16, slowest_s=0.02, max_window=slot)


def victims(shape: Shape, seed: int) -> Iterator[str]:
    """Yield who is killed next: every party but the first executor, in another order each time."""
    chance = random.Random(seed)
    parties = [party for party in shape.parties if party != shape.executors[0]]
    while True:
        yield from chance.sample(parties, len(parties))


async def run(folder: Path, size: Size, *, seed: int, tasks: int, kills: int, limit_s: float, say: Say) -> Soak:
    """Run in an empty folder, where the logs are afterwards; no longer than the limit, besides catching up."""
    soak, began = Soak(Outcome(seed, limit_s)), time.monotonic()
    async with open_world(folder, size, seed, over=Links.NONE) as world:
        watching = asyncio.create_task(_watch(world, soak, began, say))
        try:
            async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
                await _kill(world, soak, tasks, kills, group, say)
        except TimeoutError:
            soak.excess.append(f"{soak.tasks} of {tasks} tasks had ended after {limit_s:.0f} s")
            await asyncio.gather(*(party.start() for party in world.parties.values()))
        soak.seconds = time.monotonic() - began
        soak.rate = soak.tasks / soak.seconds
        try:
            await conclude(world, soak.outcome, say, within_s=max(limit_s / 2, 240.0))
        finally:
            watching.cancel()
        await _count(world, soak)
    soak.excess += soak.usage.growing([*world.shape.schedulers, *world.shape.executors])
    soak.unjudged = soak.usage.unjudged(world.shape.executors[0])  # the others are killed too often, maybe
    return soak


async def _kill(world: World, soak: Soak, tasks: int, kills: int, group: asyncio.TaskGroup, say: Say) -> None:
    """Kill one party after the other, spread over the tasks; return when all have ended."""
    chance, everyone = random.Random(soak.outcome.seed), victims(world.shape, soak.outcome.seed)
    for number in range(1, kills + 1):
        await _until(soak, tasks * number // (kills + 1))
        step = Step(time.monotonic(), Action.KILL, next(everyone), chance.uniform(*_DOWN_S))
        say(f"kill {number} of {kills}: {step.target} for {step.lasting:.1f} s")
        soak.kills[step.target] += 1
        soak.outcome.steps[step.action] += 1
        group.create_task(take(world, step))
    await _until(soak, tasks)


async def _until(soak: Soak, tasks: int) -> None:
    async with soak.progress:
        await soak.progress.wait_for(lambda: soak.tasks >= tasks)


async def _watch(world: World, soak: Soak, began: float, say: Say) -> None:
    """Count tasks and look at the processes, until cancelled."""
    said, before = began, 0
    while True:
        soak.usage.sample({name: party.pid for name, party in world.parties.items()})
        with suppress(OSError, asyncpg.PostgresError, TimeoutError):  # it is killed as well
            soak.tasks = await _ended(world)
        async with soak.progress:
            soak.progress.notify_all()
        now = time.monotonic()
        if now - said >= _SAYS_EVERY_S:
            say(f"{now - began:6.0f} s  {soak.tasks} tasks, {(soak.tasks - before) / (now - said):.0f}/s")
            said, before = now, soak.tasks
        await asyncio.sleep(_LOOKS_EVERY_S)


async def _ended(world: World) -> int:
    connection = await asyncpg.connect(world.ledger_url, timeout=5)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM task_history", timeout=10))
    finally:
        await connection.close()


async def _count(world: World, soak: Soak) -> None:
    rows, partitions, soak.ended = await count_rows(world.ledger_url)
    verdict, size = soak.outcome.verdict, world.size
    newer = size.models * soak.outcome.newer // RESOLUTION
    starts = len(world.parties) + soak.kills.total()
    soak.rows = dict(rows)
    outages = sum(soak.kills[system] for system in size.systems)
    extent = Extent(size.models, verdict.slots, verdict.rows, newer, starts, outages)
    soak.excess += too_many(rows, partitions, extent)
