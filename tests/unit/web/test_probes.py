"""The probes of a process."""

import asyncio
from datetime import timedelta

from latigo.domain.errors import Unavailable
from latigo.runtime.heartbeat import Heartbeat
from latigo.web.probes import Probes
from tests.support.clock import ManualClock


async def fine() -> None:
    pass


async def unavailable() -> None:
    raise Unavailable("connection refused", downstream="ledger")


async def silent() -> None:
    await asyncio.Event().wait()


async def test_a_process_whose_loop_turns_is_live() -> None:
    assert not Probes(Heartbeat(ManualClock())).not_live()


async def test_a_loop_that_does_not_turn_and_tasks_beyond_their_limit_are_reported() -> None:
    clock = ManualClock()
    probes = Probes(Heartbeat(clock), overdue=lambda: ["7 (plant-a/pump)"])

    clock.jump(timedelta(seconds=31))

    assert probes.not_live() == [
        "task beyond its hard limit: 7 (plant-a/pump)",
        "event loop has been blocked for 31 s",
    ]


async def test_a_process_is_ready_once_every_check_passes() -> None:
    probes = Probes(Heartbeat(ManualClock()), checks={"ledger": fine, "queue": fine})

    assert await probes.not_ready() == []


async def test_every_check_that_fails_or_times_out_is_reported() -> None:
    probes = Probes(
        Heartbeat(ManualClock()),
        checks={"ledger": unavailable, "queue": silent, "settings": fine},
        limit=timedelta(milliseconds=20),
    )

    assert await probes.not_ready() == ["ledger: connection refused", "queue: no answer within 0.02 s"]
