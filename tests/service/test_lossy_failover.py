"""A failover that loses commits: the standby that takes over had not received the newest ones of the ledger."""

from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from latigo.sandbox.gordo.controls import PREDICTING, Hang
from tests.support.process import serving
from tests.support.sandbox import open_sandbox
from tests.support.standby import Pair, ask, open_pair, url_of

MODELS = 3
FIRST, LOST = 6, 4  # calls of Gordo that are settled before the standby falls behind, and settled tasks that it misses
_SETTLED = "SELECT count(*) FROM task_history WHERE outcome = 'stored'"


def processes_of_primary(pair: Pair) -> list[psutil.Process]:
    postmaster = psutil.Process(int((pair.home / "data" / "postmaster.pid").read_text().splitlines()[0]))
    return [postmaster, *postmaster.children()]  # all before any of them is killed: the others have no parent then


async def settled(port: int) -> int:
    return int(str(await ask(port, _SETTLED)))


async def test_what_a_failover_has_lost_is_planned_again_and_nothing_is_lost_or_there_twice(
    tmp_path: Path, server_folder: Path
):
    async with AsyncExitStack() as opened:
        pair = await opened.enter_async_context(open_pair(server_folder))
        sandbox = await opened.enter_async_context(open_sandbox(url_of(pair.standby), tmp_path, models=MODELS))
        held = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=FIRST)
        config = sandbox.config(
            ledger={"kind": "postgres", "url": pair.url}, schedule={"max_window": "30s"}, backfill={"horizon": "10m"}
        )
        scheduler, first, second = [
            await opened.enter_async_context(serving(config, role=role))
            for role in ("scheduler", "executor", "executor")
        ]
        await held.reached()
        await pair.follows()
        for process in processes_of_primary(pair):
            if "walsender" in " ".join(process.cmdline()):
                process.suspend()
        received = await settled(pair.standby)
        held.lift()

        async def is_ahead() -> bool:
            return await settled(pair.primary) >= received + LOST

        async def is_healthy() -> bool:
            return bool((await sandbox.ledger.status())["healthy"])

        await first.until(is_ahead, what="tasks are settled that the standby does not know")
        ahead = await settled(pair.primary)
        for process in processes_of_primary(pair):
            process.kill()
        await pair.promote()
        behind = await settled(pair.standby)
        until = await sandbox.whole(second)
        await second.until(is_healthy, what="no alarm is left")
        codes = [await each.stop() for each in (first, second, scheduler)]
        await sandbox.ledger.assert_adds_up(MODELS, until)

    assert behind < ahead, "commits are lost"
    assert codes == [0, 0, 0]
