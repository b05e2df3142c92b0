"""Starting together, stopping together, in time."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest

from latigo.runtime.lifecycle import (
    GraceExceeded,
    Role,
    RoleEnded,
    pause,
    run_until_stopped,
    stop_on_signals,
    unless_stopped,
)
from tests.support.clock import ManualClock
from tests.support.waiting import eventually

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=100)


def recording(name: str, log: list[str]) -> Role:
    async def role(stop: asyncio.Event) -> None:
        log.append(f"{name} started")
        try:
            await stop.wait()
            log.append(f"{name} finished")
        except asyncio.CancelledError:
            log.append(f"{name} cancelled")
            raise

    return role


async def stuck(_stop: asyncio.Event) -> None:
    await asyncio.Event().wait()


async def test_every_role_runs_until_stop_and_finishes() -> None:
    stop, log = asyncio.Event(), list[str]()

    async with asyncio.TaskGroup() as group:
        group.create_task(run_until_stopped({"a": recording("a", log), "b": recording("b", log)}, stop, LONG))
        await eventually(lambda: len(log) == 2)
        stop.set()

    assert log == ["a started", "b started", "a finished", "b finished"]


async def test_without_roles_it_returns_once_stopped() -> None:
    stop = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_until_stopped({}, stop, LONG))
        await asyncio.sleep(0)
        assert not running.done()
        stop.set()


async def test_roles_run_in_tasks_of_their_names() -> None:
    stop, names = asyncio.Event(), list[str]()

    async def role(_stop: asyncio.Event) -> None:
        task = asyncio.current_task()
        names.append(task.get_name() if task else "")
        stop.set()

    await run_until_stopped({"scheduler": role}, stop, LONG)

    assert names == ["scheduler"]


async def test_a_role_that_raises_ends_the_others_at_once() -> None:
    log = list[str]()

    async def broken(_stop: asyncio.Event) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError, match="a bug")):
        await run_until_stopped({"a": recording("a", log), "broken": broken}, asyncio.Event(), LONG)

    assert log == ["a started", "a cancelled"]


async def test_a_role_that_ends_by_itself_ends_the_process() -> None:
    async def short(_stop: asyncio.Event) -> None:
        await asyncio.sleep(0)

    with pytest.RaisesGroup(pytest.RaisesExc(RoleEnded, match="short ended before it was stopped")):
        await run_until_stopped({"short": short, "stuck": stuck}, asyncio.Event(), LONG)


async def test_work_within_the_grace_is_finished() -> None:
    stop, released, log = asyncio.Event(), asyncio.Event(), list[str]()

    async def slow(stop: asyncio.Event) -> None:
        await stop.wait()
        log.append("stopping")
        await released.wait()
        log.append("finished")

    async with asyncio.TaskGroup() as group:
        group.create_task(run_until_stopped({"slow": slow}, stop, LONG))
        stop.set()
        await eventually(lambda: log)
        released.set()

    assert log == ["stopping", "finished"]


async def test_beyond_the_grace_what_is_left_is_cancelled_and_named() -> None:
    stop, log = asyncio.Event(), list[str]()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(_raised({"good": recording("good", log), "stuck": stuck}, stop))
        await eventually(lambda: log)
        stop.set()

    assert log == ["good started", "good finished"]
    exceeded = running.result()
    assert isinstance(exceeded, GraceExceeded)
    assert exceeded.roles == ("stuck",)


async def _raised(roles: dict[str, Role], stop: asyncio.Event) -> BaseException | None:
    try:
        await run_until_stopped(roles, stop, SHORT)
    except GraceExceeded as error:
        return error
    return None


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_to_stop(which: signal.Signals) -> None:
    stop, before = asyncio.Event(), signal.getsignal(which)

    with stop_on_signals(stop):
        os.kill(os.getpid(), which)
        await asyncio.wait_for(stop.wait(), 60)

    assert signal.getsignal(which) is before


async def test_handlers_that_were_there_before_are_put_back() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    with stop_on_signals(asyncio.Event()):
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] != before

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


PROCESS = """
    import asyncio, sys, threading
    from contextlib import suppress
    from datetime import timedelta
    from latigo.runtime.lifecycle import run_until_stopped, stop_on_signals

    async def role(stop):
        print("working", flush=True)
        await stop.wait()
        asyncio.get_running_loop().call_soon(lambda: print("stopping", flush=True))  # once this role waits below
        if "wait" in sys.argv:
            await asyncio.to_thread(sys.stdin.read)
        while "hang" in sys.argv:  # cannot even be cancelled
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        if "block" in sys.argv:  # the loop as well
            print("stopping", flush=True)
            threading.Event().wait()
        print("finished", flush=True)

    async def main():
        stop = asyncio.Event()
        with stop_on_signals(stop):
            await run_until_stopped({"role": role}, stop, timedelta(seconds=60))

    asyncio.run(main())
"""


@contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    code = textwrap.dedent(PROCESS)
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _await_line(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stdout
    assert any(line.strip() == wanted for line in process.stdout), f"ended without saying {wanted!r}"


def test_a_process_that_is_terminated_in_the_middle_finishes_and_exits_with_zero() -> None:
    with _started() as process:
        _await_line(process, "working")

        process.send_signal(signal.SIGTERM)

        _await_line(process, "finished")
        assert process.wait(60) == 0


@pytest.mark.parametrize("how", ["hang", "block"])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_means_it(second: signal.Signals, how: str) -> None:
    with _started(how) as process:
        _await_line(process, "working")
        process.send_signal(signal.SIGTERM)
        _await_line(process, "stopping")

        while process.poll() is None:  # the first ones may still count as one with the first of all
            process.send_signal(second)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)

        assert process.returncode == -second


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_twice_at_once_lets_a_process_finish(again: signal.Signals) -> None:
    with _started("wait") as process:
        _await_line(process, "working")
        process.send_signal(signal.SIGTERM)
        _await_line(process, "stopping")

        process.send_signal(again)
        process.communicate()

        assert process.returncode == 0


async def test_a_pause_ends_after_its_time() -> None:
    clock, stop = ManualClock(), asyncio.Event()

    paused = asyncio.ensure_future(pause(clock, timedelta(seconds=5), stop))
    await clock.advance(timedelta(seconds=4))
    assert not paused.done()
    await clock.advance(timedelta(seconds=1))

    assert await paused is False


async def test_a_pause_ends_when_it_is_time_to_stop() -> None:
    clock, stop = ManualClock(), asyncio.Event()

    paused = asyncio.ensure_future(pause(clock, LONG, stop))
    await clock.advance(timedelta(0))
    stop.set()

    assert await paused is True
    assert clock.sleepers == 0
    assert await pause(clock, LONG, stop) is True


async def test_a_cancelled_pause_leaves_no_sleeper() -> None:
    clock = ManualClock()

    paused = asyncio.ensure_future(pause(clock, LONG, asyncio.Event()))
    await clock.advance(timedelta(0))
    paused.cancel()
    await asyncio.gather(paused, return_exceptions=True)

    assert paused.cancelled()
    assert clock.sleepers == 0


async def test_work_that_ends_before_the_stop_returns_its_result() -> None:
    async def work() -> str:
        return "done"

    assert await unless_stopped(work(), asyncio.Event()) == "done"


async def test_work_is_cancelled_when_the_stop_comes_first_and_cleans_up() -> None:
    stop, log = asyncio.Event(), list[str]()

    async def work() -> str:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cleaned up")
        return "done"

    assert await unless_stopped(work(), stop) is None
    assert log == ["cleaned up"]


async def test_a_time_limit_of_the_work_is_its_own_error() -> None:
    async def work() -> None:
        raise TimeoutError("of the work")

    with pytest.raises(TimeoutError, match="of the work"):
        await unless_stopped(work(), asyncio.Event())
