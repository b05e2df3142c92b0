"""Two processes, each the whole of Latigo, on one ledger: one plans, the other stands by, and takes over."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from latigo.sandbox.gordo.controls import PREDICTING, Hang
from tests.support.process import RESOLUTION, Service, serving, term_of
from tests.support.site import Site

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
    await service.until(lambda: term_of(service) > term_of(other), within=60, what="it takes over")


async def assert_nothing_ran_twice(site: Site) -> None:
    """Every window that was executed is one that was stored, and was executed once."""
    stored = Counter((task["model"], task["window"].upper - RESOLUTION) for task in await site.ledger.tasks("stored"))
    assert Counter(site.executed()) == stored
    assert set(stored.values()) == {1}


async def test_of_two_processes_exactly_one_plans_and_no_window_is_executed_twice(site: Site):
    config = site.config(planner=LONG, executor=LONG)
    async with serving(config) as one, serving(config) as other:
        leader, standby = await leader_of(one, other)
        until = await site.whole(leader)
        await standby.logged("http.started")
        term = await site.ledger.value("SELECT term FROM planner")
        status = await site.ledger.status()
        codes = await asyncio.gather(leader.stop(), standby.stop())

    assert set(codes) == {0}
    assert term == 1
    assert len(status["executors"]) == 2
    await site.ledger.assert_adds_up(site.models, until)
    await assert_nothing_ran_twice(site)


async def test_when_the_leader_is_killed_the_other_one_takes_over_within_the_lease(site: Site):
    config = site.config(planner=PLANNER, executor=EXECUTOR)
    hanging = site.gordo.controls.trouble(Hang(), PREDICTING, skip=4)
    async with serving(config) as one, serving(config) as other:
        leader, standby = await leader_of(one, other)
        await standby.logged("http.started")
        await hanging.reached()
        await leader.kill()
        lease = "SELECT lease_until > ledger_now() + interval '6 seconds' FROM planner"
        too_long = await site.ledger.value(lease)
        hanging.lift()

        await takes_over(standby, leader)
        until = await site.whole(standby)
        assert await standby.stop() == 0

    assert not too_long
    await site.ledger.assert_adds_up(site.models, until)
    stored = await site.ledger.tasks("stored")
    assert {task["starts"] for task in stored} <= {1, 2}
    assert await site.ledger.parked() == []


async def test_a_leader_that_loses_its_lease_while_it_lives_runs_nothing_that_the_other_one_runs(site: Site):
    """What the first has published and not claimed is published again by the second: claims keep that harmless."""
    config = site.config(planner=PLANNER, executor={"concurrency": 2, "lease": "1m"})
    hanging = site.gordo.controls.hang()
    async with serving(config) as one, serving(config) as other:
        first, second = await leader_of(one, other)
        await second.logged("http.started")
        await first.until(lambda: _are_out(site, claimed=2, published=4), what="two in hand, the others in its queue")

        with suspended(first):
            await takes_over(second, first)
        await second.until(lambda: _are_out(site, claimed=4, published=2), what="each has two in hand")
        in_hand = await site.ledger.fetch("SELECT claimed_by, count(*) FROM task WHERE state = 'claimed' GROUP BY 1")
        await first.logged("lease.lost")
        hanging.lift()

        until = await site.whole(second)
        codes = await asyncio.gather(first.stop(), second.stop())

    assert set(codes) == {0}
    assert [row["count"] for row in in_hand] == [2, 2]
    await site.ledger.assert_adds_up(site.models, until)
    await assert_nothing_ran_twice(site)


async def test_a_process_that_was_suspended_for_longer_than_its_leases_adds_nothing_afterwards(site: Site):
    config = site.config(planner=PLANNER, executor=EXECUTOR, schedule={"max_window": "6m"})
    hanging = site.gordo.controls.hang()
    async with serving(config) as one, serving(config) as other:
        first, second = await leader_of(one, other)
        await second.logged("http.started")
        await first.until(lambda: _are_out(site, claimed=3), what="all tasks are in hand")
        await hanging.reached()

        with suspended(first):
            hanging.lift()
            until = await site.whole(second)
        await first.until(lambda: _in_vain(first) == 3, what="it has noticed")
        codes = await asyncio.gather(first.stop(), second.stop())

    assert set(codes) == {0}
    assert len(second.events("task.isolated")) == 3
    await site.ledger.assert_adds_up(site.models, until)


@contextmanager
def suspended(service: Service) -> Iterator[None]:
    """The whole process stands still, as when its machine is moved; its connections stay."""
    service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)


def _in_vain(service: Service) -> int:
    """Tasks that were given up because somebody else has them, or whose settling counted for nothing."""
    superseded = [event for event in service.events("task.finished") if not event["counted"]]
    return len(service.events("claim.lost")) + len(superseded)


async def _are_out(site: Site, **wanted: int) -> bool:
    found = {state: len(await site.ledger.tasks(state)) for state in wanted}
    return found == wanted
