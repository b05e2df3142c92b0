"""One campaign: a world, the steps of its plan, a time to recover, and the judge.

A party that is killed or stopped is started again after a while, and one that is frozen goes on, with everything it
had in flight. When all steps are over, Latigo has to catch up by itself; then its processes are stopped and the judge
looks at what they have left.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from chaos.formulas import models
from chaos.judge import Verdict, beginning_at, judge, missing, read_facts
from chaos.network import SOUND, Links
from chaos.plan import Action, Step, plan
from chaos.processes import environment
from chaos.world import INFLUX, POSTGRES, Size, World, newest_due, open_world

#: Time to catch up and be healthy once everything works again.
_RECOVERS_WITHIN_S = 240.0
#: Time in which what has been published ends.
_ENDS_WITHIN_S = 60
#: Until a sink that cannot compare writers has all that killed executors and cut links have left in sockets, and the
#: executors have reported what they may have written over: more than a write, or a repeat after the longest cut.
_LATE_WRITES_S = 30.0
_LET_REPAIR = "UPDATE repair SET due_at = ledger_now() WHERE due_at > ledger_now()"
_OUT = "SELECT count(*) FROM task WHERE state IN ('published', 'claimed')"
_HEALTHY = "healthy"
_STATUS_LINES = 6
#: Models whose rows are in memory at a time.
_JUDGED_AT_ONCE = 20

Say = Callable[[str], None]


@dataclass
class Outcome:
    """The result of a campaign."""

    seed: int
    seconds: float
    steps: Counter[str] = field(default_factory=Counter)
    revisions: int = 0
    recovered_after: float | None = None  #: seconds; None: not within the time limit
    newer: int = 0  #: seconds of data that became due while Latigo caught up, which is not judged
    state: str = ""  #: as ``latigo status`` reports it at the end
    verdict: Verdict = field(default_factory=Verdict)
    complaints: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Return whether nothing is wrong with it."""
        return self.verdict.sound and self.state == _HEALTHY and not self.complaints

    def faults(self) -> Sequence[str]:
        """Return everything that is wrong, a sentence each."""
        verdict = self.verdict
        kinds = {"lost": verdict.lost, "doubled": verdict.doubled, "wrong": verdict.wrong, "process": self.complaints}
        faults = [f"{kind}: {fault}" for kind, found in kinds.items() for fault in found]
        return faults if self.state == _HEALTHY else [*faults, f"status: {self.state}"]


async def run(
    folder: Path, size: Size, *, seed: int, seconds: float, over: Links = Links.PROXIES, say: Say = print
) -> Outcome:
    """Run a campaign in an empty folder, where its logs are afterwards."""
    outcome = Outcome(seed, seconds)
    async with open_world(folder, size, seed, over=over) as world:
        await _run_steps(world, plan(seed, seconds, world.shape), outcome, say)
        await conclude(world, outcome, say)
    return outcome


async def conclude(world: World, outcome: Outcome, say: Say, within_s: float = _RECOVERS_WITHIN_S) -> None:
    """Let Latigo catch up, stop it, and judge what is left."""
    outcome.revisions = len(world.revisions)
    say("all steps are over, catching up")
    until = await _recover(world, outcome, within_s)
    await asyncio.gather(*(party.stop() for party in world.of(*world.shape.schedulers)))
    outcome.newer = int(newest_due(world.size).timestamp()) - until
    await _until_nothing_is_out(world)
    await asyncio.gather(*(party.stop() for party in world.of(*world.shape.executors)))
    everything = models(world.size.models)
    for first in range(0, len(everything), _JUDGED_AT_ONCE):
        some = everything[first : first + _JUDGED_AT_ONCE]
        facts = await read_facts(world.ledger_url, [model.name for model in some], world.sink)
        judge(some, beginning_at(facts, world.begins), until, outcome.verdict)
        say(f"{first + len(some)} of {len(everything)} models judged, {outcome.verdict.values} values")
    outcome.complaints += [complaint for party in world.parties.values() for complaint in party.complaints]


async def _run_steps(world: World, steps: Sequence[Step], outcome: Outcome, say: Say) -> None:
    """Take each step at its time; a step that lasts is undone at its own."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for step in steps:
            await asyncio.sleep(began + step.at - time.monotonic())
            say(str(step))
            outcome.steps[step.action] += 1
            group.create_task(take(world, step))
        await asyncio.sleep(began + outcome.seconds - time.monotonic())


async def take(world: World, step: Step) -> None:
    """Take one step, and undo it when it has lasted."""
    match step.action:
        case Action.DEPLOY:
            world.deploy()
        case Action.TROUBLE:
            world.parties[step.target].send({"trouble": step.detail, "seconds": step.lasting})
            await asyncio.sleep(step.lasting)
        case Action.KILL | Action.STOP:
            await _end(world, step)
            await asyncio.sleep(step.lasting)
            await world.parties[step.target].start()
        case Action.FREEZE:
            world.parties[step.target].freeze()
            await asyncio.sleep(step.lasting)
            world.parties[step.target].thaw()
        case _:
            assert step.link is not None
            world.network.put(step.link, step.condition)
            await asyncio.sleep(step.lasting)
            world.network.put(step.link, SOUND)


async def _end(world: World, step: Step) -> None:
    party = world.parties[step.target]
    if step.action is Action.KILL:
        await party.kill()
    elif step.target == POSTGRES:
        await party.kill(signal.SIGINT)  # its SIGTERM waits for all clients to leave
    elif step.target == INFLUX:
        await party.kill(signal.SIGTERM)  # how it ends does not matter, and it may not have begun to listen to signals
    else:
        await party.stop()


async def _recover(world: World, outcome: Outcome, within_s: float) -> int:
    """Wait until everything that was due when the steps were over is accounted for, and the state is healthy.

    It is not healthy while something is to be repaired. Latigo waits a quarter of an hour for writes that may be on
    their way; here that is as long as they can be. Return the end of the time that was due.
    """
    began, until = time.monotonic(), int(newest_due(world.size).timestamp())
    late_until = began + (_LATE_WRITES_S if INFLUX in world.size.systems else 0.0)
    while time.monotonic() - began < within_s:
        if all_arrived := time.monotonic() >= late_until:
            await _let_repair(world)
        outcome.state = await _status(world)
        if all_arrived and outcome.state == _HEALTHY and await _missing(world, until) == 0:
            outcome.recovered_after = time.monotonic() - began
            break
        await asyncio.sleep(1.0)
    return until


async def _let_repair(world: World) -> None:
    """Let windows be predicted again now that no late write can come any more."""
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(world.ledger_url, timeout=30)
        try:
            await connection.execute(_LET_REPAIR)
        finally:
            await connection.close()


async def _until_nothing_is_out(world: World) -> None:
    """Wait until executors have ended what schedulers have published, for a while at most."""
    connection = await asyncpg.connect(world.ledger_url, timeout=30)
    try:
        for _ in range(_ENDS_WITHIN_S):
            if not await connection.fetchval(_OUT):
                return
            await asyncio.sleep(1.0)
    finally:
        await connection.close()


async def _missing(world: World, until: int) -> int | None:
    try:
        facts = beginning_at(await read_facts(world.ledger_url), world.begins)
    except (OSError, asyncpg.PostgresError):
        return None
    return missing(facts, until) if len(facts) == world.size.models else None


async def _status(world: World) -> str:
    """Return the state as the command line reports it, with its causes unless it is healthy."""
    config = world.config("operator", ledger_url=world.ledger_url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo", "status", "--config", str(config)),
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode == 0:
        return _HEALTHY
    text = (output + errors).decode(errors="replace")
    return " ".join(line.strip() for line in text.splitlines()[:_STATUS_LINES])
