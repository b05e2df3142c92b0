"""Two processes, each the whole of Latigo, on one ledger: one plans, the other is the standby, and takes over."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from latigo.sandbox.gordo.controls import PREDICTING, Hang
from tests.support.process import RESOLUTION, Service, serving, term_of
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

#: Nobody dies: no lease runs out, however busy the machine is.
LONG = {"lease": "1m"}
#: Somebody dies: longer than a busy machine keeps anybody waiting, and short enough for a test to wait for.
PLANNER, EXECUTOR = {"lease": "6s"}, {"lease": "5s"}


async def leader_of(*services: Service) -> tuple[Service, Service]:
    """The process that plans and the one that stands by."""
    await services[0].until(lambda: any(map(term_of, services)), what="one plans")
    standby, leader = sorted(services, key=term_of)
    return leader, standby


async def takes_over(service: Service, other: Service) -> None:
    """Wait until it plans in a newer term than the other one."""
    await service.until(lambda: term_of(service) > term_of(other), what="it takes over")


async def assert_nothing_ran_twice(sandbox: Sandbox) -> None:
    """Every window that was executed is one that was stored, and was executed once."""
    stored = Counter(
        (task["model"], task["window"].upper - RESOLUTION) for task in await sandbox.ledger.tasks("stored")
    )
    assert Counter(sandbox.executed()) == stored
    assert set(stored.values()) == {1}


async def test_of_two_processes_exactly_one_plans_and_no_window_is_executed_twice(sandbox: Sandbox):
    config = sandbox.config(planner=LONG, executor=LONG)
    async with serving(config) as one, serving(config) as other:
        leader, standby = await leader_of(one, other)
        until = await sandbox.whole(leader)
        await standby.logged("http.started")
        term = await sandbox.ledger.value("SELECT term FROM planner")
        status = await sandbox.ledger.status()
        codes = await asyncio.gather(leader.stop(), standby.stop())

    assert set(codes) == {0}
    assert term == 1
    assert len(status["executors"]) == 2
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    await assert_nothing_ran_twice(sandbox)


async def test_when_the_leader_is_killed_the_other_one_takes_over_within_the_lease(sandbox: Sandbox):
    config = sandbox.config(planner=PLANNER, executor=EXECUTOR)
    hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=4)
    async with serving(config) as one, serving(config) as other:
        leader, standby = await leader_of(one, other)
        await standby.logged("http.started")
        await hanging.reached()
        await leader.kill()
        lease = "SELECT lease_until > ledger_now() + interval '6 seconds' FROM planner"
        too_long = await sandbox.ledger.value(lease)
        hanging.lift()

        await takes_over(standby, leader)
        until = await sandbox.whole(standby)
        assert await standby.stop() == 0

    assert not too_long
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    stored = await sandbox.ledger.tasks("stored")
    assert {task["starts"] for task in stored} <= {1, 2}
    assert await sandbox.ledger.parked() == []


async def test_a_leader_that_loses_its_lease_while_it_lives_runs_nothing_that_the_other_one_runs(sandbox: Sandbox):
    """What the first has published and not claimed is published again by the second: claims keep that harmless."""
    config = sandbox.config(planner=PLANNER, executor={"concurrency": 2, "lease": "1m"})
    hanging = sandbox.gordo.controls.hang()
    async with serving(config) as one, serving(config) as other:
        first, second = await leader_of(one, other)
        await second.logged("http.started")
        await first.until(
            lambda: _are_out(sandbox, claimed=2, published=4), what="two in hand, the others in its queue"
        )

        async with suspended(first, sandbox):
            await takes_over(second, first)
        await second.until(lambda: _are_out(sandbox, claimed=4, published=2), what="each has two in hand")
        in_hand = await sandbox.ledger.fetch("SELECT claimed_by, count(*) FROM task WHERE state = 'claimed' GROUP BY 1")
        await first.logged("lease.lost")
        hanging.lift()

        until = await sandbox.whole(second)
        codes = await asyncio.gather(first.stop(), second.stop())

    assert set(codes) == {0}
    assert [row["count"] for row in in_hand] == [2, 2]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    await assert_nothing_ran_twice(sandbox)


async def test_a_process_that_was_suspended_for_longer_than_its_leases_adds_nothing_afterwards(sandbox: Sandbox):
    config = sandbox.config(planner=PLANNER, executor=EXECUTOR, schedule={"max_window": "6m"})
    hanging = sandbox.gordo.controls.hang()
    async with serving(config) as one, serving(config) as other:
        first, second = await leader_of(one, other)
        await second.logged("http.started")
        await first.until(lambda: _are_out(sandbox, claimed=3), what="all tasks are in hand")
        await hanging.reached()

        async with suspended(first, sandbox):
            hanging.lift()
            until = await sandbox.whole(second)
        await first.until(lambda: _in_vain(first) >= 3, what="it has noticed")
        codes = await asyncio.gather(first.stop(), second.stop())

    assert set(codes) == {0}
    assert len({event["task"] for event in second.events("task.isolated")}) == 3
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


@asynccontextmanager
async def suspended(service: Service, sandbox: Sandbox) -> AsyncIterator[None]:
    """Pause the process, as when its machine is moved; its connections stay.

    Outside of a planning transaction: its lock on the planner's row would keep the other scheduler from taking over.
    """

    async def stops_without_the_lock() -> bool:
        service.process.send_signal(signal.SIGSTOP)
        if await _is_unlocked(sandbox):
            return True
        service.process.send_signal(signal.SIGCONT)
        return False

    try:
        await eventually(stops_without_the_lock, what="the process stops without the lock of the planner")
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)


async def _is_unlocked(sandbox: Sandbox) -> bool:
    """Return whether no transaction of another process keeps the planner's row."""
    try:
        await sandbox.ledger.fetch("SELECT FROM planner FOR UPDATE NOWAIT")
    except asyncpg.LockNotAvailableError:
        return False
    return True


def _in_vain(service: Service) -> int:
    """Tasks that another executor took over, or whose settlement did not count."""
    superseded = [event for event in service.events("task.finished") if not event["counted"]]
    return len(service.events("claim.lost")) + len(superseded)


async def _are_out(sandbox: Sandbox, **wanted: int) -> bool:
    result = {state: len(await sandbox.ledger.tasks(state)) for state in wanted}
    return result == wanted
