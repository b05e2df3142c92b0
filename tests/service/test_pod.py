"""The life of pods by the numbers of ``deploy/kubernetes``: started, migrated, cut off, drained, killed, updated.

Processes play the containers, and `tests.support.pods` the kubelet; there is no cluster.
"""

import asyncio
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from latigo.sandbox.gordo.controls import PREDICTING, unavailable
from tests.support.lacking import lacking
from tests.support.pods import Ended, Pod, manifest, open_node
from tests.support.process import RESOLUTION, ROOT, newest_due
from tests.support.sandbox import open_sandbox
from tests.support.waiting import eventually

#: What a pod is configured with: the grace by default, to which the manifest fits. See `tests.support.process.FAST`.
PODS: Any = {
    "task_queue": {"kind": "postgres"},
    "http": {"port": 8080, "allowed_hosts": ["latigo-scheduler"]},
    # No claim runs out, however busy the machine is.
    "executor": {"grace": "25s", "lease": "1m", "renew": "1s"},
}
MODELS_UNDER_LOAD = 40


async def all_of(pods: list[Pod], holds: Callable[[Pod], object], what: str, *, within: float = 150.0) -> None:
    """Wait until this holds for every pod; fails when one would have been started again."""

    def holds_for_all() -> bool:
        assert [pod.unhealthy for pod in pods if pod.unhealthy] == []
        return all(holds(pod) for pod in pods)

    await eventually(holds_for_all, within=within, every=0.2, what=what)


async def test_pods_start_while_there_is_no_ledger_migrate_it_live_through_outages_and_end_in_time(
    database_url: str, tmp_path: Path
):
    async with open_sandbox(database_url, tmp_path, models=3) as sandbox, open_node() as node:
        config = sandbox.config(**PODS)
        async with sandbox.without_ledger():
            scheduler, *executors = [await node.start(role, config) for role in ("scheduler", "executor", "executor")]
            everyone = [scheduler, *executors]
            await all_of(
                everyone,
                lambda pod: pod.started.is_set() and "waits for ledger" in " ".join(pod.reasons),
                "they have started, without a ledger",
            )
            assert [pod.ready for pod in everyone] == [False] * 3

        await all_of(everyone, lambda pod: pod.ready, "they have migrated the ledger and are ready")
        statuses = await status_by_address(scheduler)
        await sandbox.whole(scheduler)

        # Gordo is lost: nobody is restarted, and nobody is less ready.
        lost = sandbox.gordo.controls.trouble(unavailable(), PREDICTING)
        await scheduler.until(lambda: lost.met, what="Gordo is lost")
        lost.lift()
        held = sandbox.gordo.controls.hang()
        draining, frozen = executors
        await draining.until(lambda: sandbox.ledger.tasks("claimed"), what="calls hang")
        assert [pod.ready for pod in everyone] == [True] * 3

        # One is drained while Gordo hangs, one is frozen and has to be killed, and then the ledger is lost.
        frozen.process.send_signal(signal.SIGSTOP)
        killing = asyncio.create_task(frozen.terminate())
        drained = await draining.terminate()
        async with sandbox.without_ledger():
            await all_of([scheduler], lambda pod: not pod.ready, "it is not ready without the ledger")
            killed = await killing
        await all_of([scheduler], lambda pod: pod.ready, "it is ready again")
        held.lift()
        stopped = await scheduler.terminate()

    assert [pod.unhealthy for pod in everyone] == [""] * 3
    assert statuses == {"/livez": 200, "/readyz": 200, "/metrics": 200, "/api/v1/status": 421}
    assert (drained.code, drained.killed) == (0, False)
    assert drained.after < draining.of.grace
    assert (killed.code, killed.killed) == (-signal.SIGKILL, True)
    assert killed.after >= frozen.of.grace
    assert (stopped.code, stopped.killed) == (0, False)


async def status_by_address(pod: Pod) -> dict[str, int]:
    """What a pod answers to a client that knows its address and no name of it."""
    found = {}
    async with ClientSession() as session:
        for path in ("/livez", "/readyz", "/metrics", "/api/v1/status"):
            async with session.get(f"http://{pod.address}:{pod.of.port}{path}") as response:
                found[path] = response.status
    return found


async def test_a_rolling_update_from_the_commit_before_loses_nothing_and_doubles_nothing(
    database_url: str, tmp_path: Path
):
    before = commit_before(tmp_path / "before")
    async with open_sandbox(database_url, tmp_path, models=MODELS_UNDER_LOAD) as sandbox, open_node() as node:
        config = sandbox.config(**PODS)
        old = {
            role: [await node.start(role, config, tree=before) for _ in range(manifest(role).replicas)]
            for role in ("scheduler", "executor")
        }
        await all_of([*old["scheduler"], *old["executor"]], lambda pod: pod.ready, "the old ones are ready")
        await eventually(sandbox.executed, what="they work")

        updates = [roll(role, pods, partial(node.start, role, config)) for role, pods in old.items()]
        (schedulers, ended_schedulers), (executors, ended_executors) = await asyncio.gather(*updates)

        async def new_ones_work() -> bool:
            return sum([await stored_by(pod) for pod in executors]) > 0

        await eventually(new_ones_work, every=1, what="the new executors work")
        until = newest_due()
        await schedulers[0].until(
            lambda: sandbox.ledger.is_whole(MODELS_UNDER_LOAD, until), within=240, what="all is covered"
        )
        ended = [*ended_schedulers, *ended_executors, *[await pod.terminate() for pod in (*schedulers, *executors)]]
        stored = Counter(
            (task["model"], task["window"].upper - RESOLUTION) for task in await sandbox.ledger.tasks("stored")
        )
        executed = Counter(sandbox.executed())
        await sandbox.ledger.assert_adds_up(MODELS_UNDER_LOAD, until)

    assert {(each.code, each.killed) for each in ended} == {(0, False)}
    assert [pod.unhealthy for pod in node.pods if pod.unhealthy] == []
    assert executed == stored
    assert set(stored.values()) == {1}


async def stored_by(pod: Pod) -> float:
    """How many tasks a pod has stored, by its metrics."""
    async with ClientSession() as session, session.get(f"http://{pod.address}:{pod.of.port}/metrics") as response:
        text = await response.text()
    return sum(map(float, re.findall(r'^latigo_tasks_total\{.*outcome="stored".*\} (\S+)', text, re.MULTILINE)))


async def roll(role: str, old: list[Pod], start: Callable[[], Awaitable[Pod]]) -> tuple[list[Pod], list[Ended]]:
    """Replace pods as a Deployment does: new ones as far as it may surge, old ones as far as it may lack."""
    of, new, ended = manifest(role), list[Pod](), list[Ended]()

    def can_spare_one() -> bool:
        left = [pod for pod in (*old[1:], *new) if pod.ready]
        return len(left) >= of.replicas - of.max_unavailable

    while old or len(new) < of.replicas:
        while len(new) < of.replicas and len(old) + len(new) < of.replicas + of.max_surge:
            new.append(await start())
        if old:
            await eventually(can_spare_one, within=150, every=0.2, what=f"a {role} can be spared")
            ended.append(await old.pop(0).terminate())
    await all_of(new, lambda pod: pod.ready, f"the new {role}s are ready")
    return new, ended


def commit_before(folder: Path) -> Path:
    """Unpack the source as it was before its last change, which may not be committed yet."""
    changed = git("diff", "--quiet", "HEAD", "--", "src").returncode == 1
    last = "HEAD" if changed else f"{git('log', '-1', '--format=%H', '--', 'src').stdout.decode().strip()}~1"
    archive = git("archive", last, "src")
    if archive.returncode:  # of a clone that is not deep enough
        archive = git("archive", "HEAD", "src")
    if archive.returncode:
        lacking(f"this is no Git clone: {archive.stderr.decode().strip()}")
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
