"""What a service manager hears of a process, at a real socket."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from latigo.runtime.service_manager import EVERY, ServiceManager
from tests.support.clock import ManualClock
from tests.support.service_manager import listening
from tests.support.waiting import eventually

WATCHDOG = timedelta(seconds=60)


def environ(address: str, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000", **more}


async def test_a_process_that_lives_is_reported_alive_and_one_that_should_be_restarted_is_not():
    clock, stop = ManualClock(datetime.now(UTC)), asyncio.Event()
    reasons: list[str] = []
    async with listening() as notices:
        manager = ServiceManager.of(environ(notices.address, WATCHDOG_PID=str(os.getpid())))
        async with manager.watching(lambda: reasons, lambda: "running", clock, stop):
            await notices.of("WATCHDOG")
            manager.ready()
            await notices.of("READY")
            await clock.advance(EVERY)
            await eventually(lambda: len(notices.values("WATCHDOG")) == 2)

            reasons.append("task beyond its hard limit")
            for _ in range(20):
                await clock.advance(EVERY)
            stop.set()
            await notices.of("STOPPING")

    assert len(notices.values("WATCHDOG")) == 2
    assert notices.values("STATUS") == ["running", "draining"]


async def test_a_status_is_reported_when_it_changes_and_on_one_line():
    clock, status = ManualClock(datetime.now(UTC)), ["waits for ledger"]
    async with listening() as notices:
        manager = ServiceManager.of(environ(notices.address))
        async with manager.watching(tuple, lambda: status[0], clock, asyncio.Event()):
            await notices.of("STATUS", "waits")
            await clock.advance(EVERY)
            status[0] = "running\nREADY=1"
            await clock.advance(EVERY)
            await notices.of("STATUS", "running")

    assert notices.values("STATUS") == ["waits for ledger", "running READY=1"]
    assert notices.values("READY") == []


async def test_an_impatient_watchdog_hears_three_times_before_it_bites():
    clock = ManualClock(datetime.now(UTC))
    async with listening() as notices:
        manager = ServiceManager.of(environ(notices.address, WATCHDOG_USEC="3000000"))
        async with manager.watching(tuple, str, clock, asyncio.Event()):
            await notices.of("WATCHDOG")
            await clock.advance(timedelta(seconds=1))
            await eventually(lambda: len(notices.values("WATCHDOG")) == 2)


@pytest.mark.parametrize("pid", ["1", "none"])
async def test_the_watchdog_of_another_process_is_not_ours(pid: str):
    clock = ManualClock(datetime.now(UTC))
    async with listening() as notices:
        manager = ServiceManager.of(environ(notices.address, WATCHDOG_PID=pid))
        async with manager.watching(tuple, lambda: "running", clock, asyncio.Event()):
            await notices.of("STATUS", "running")
            await clock.advance(EVERY)

    assert notices.values("WATCHDOG") == []


@pytest.mark.parametrize("address", ["", "tcp:nowhere"])
async def test_without_a_manager_nothing_is_sent(address: str):
    manager = ServiceManager.of({"NOTIFY_SOCKET": address} if address else {})
    with capture_logs() as logged:
        async with manager.watching(tuple, str, ManualClock(datetime.now(UTC)), asyncio.Event()):
            manager.ready()
            manager.stopping()

    assert logged == []


async def test_a_manager_that_is_not_there_is_logged_and_no_failure():
    with capture_logs() as logged:
        ServiceManager.of({"NOTIFY_SOCKET": "/nowhere/notify"}).ready()

    assert [each["event"] for each in logged] == ["manager.not_notified"]
