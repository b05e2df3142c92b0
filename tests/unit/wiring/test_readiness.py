"""What the probes of a process know of it."""

from dataclasses import dataclass, field
from typing import cast

from latigo.executor.loop import Executor
from latigo.runtime.heartbeat import Heartbeat
from latigo.wiring.readiness import Readiness
from tests.support.clock import ManualClock


@dataclass
class Worker:
    """As much of an executor as its probe reads."""

    overdue: list[str] = field(default_factory=list)


async def test_a_process_is_live_while_it_starts_and_not_ready():
    probes = Readiness().probes(Heartbeat(ManualClock()))

    assert list(probes.not_live()) == []
    assert list(await probes.not_ready()) == ["start: is starting"]


async def test_a_process_with_a_task_beyond_its_hard_limit_is_not_live_until_the_task_has_ended():
    readiness, worker = Readiness(), Worker()
    probes = readiness.probes(Heartbeat(ManualClock()))
    readiness.executor = cast("Executor", worker)

    worker.overdue = ["task-7"]
    assert list(probes.not_live()) == ["task beyond its hard limit: task-7"]
    worker.overdue = []
    assert list(probes.not_live()) == []


async def test_a_process_that_is_being_stopped_is_not_ready():
    readiness = Readiness()
    readiness.close()

    assert list(await readiness.probes(Heartbeat(ManualClock())).not_ready()) == ["start: is being stopped"]
