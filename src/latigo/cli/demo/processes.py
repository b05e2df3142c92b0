"""The demo as several processes: a scheduler and executors on one ledger, which is the queue unless Event Hubs are."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from latigo.cli.demo.progress import DRAIN_LIMIT, Progress
from latigo.domain.errors import LatigoError
from latigo.postgres.embedded import open_embedded
from latigo.runtime.units import counted
from latigo.sandbox.eventhub import open_event_hubs
from latigo.settings import Settings
from latigo.settings.reference import to_toml
from latigo.wiring.ledger import open_ledger
from latigo.wiring.role_names import RoleName

EXECUTORS = 2
PARTITIONS = 8


async def run_distributed(
    progress: Progress, tree: dict[str, Any], folder: Path, address: str | None = None
) -> Mapping[str, Any]:
    """Run the demo with these settings, seen at ``address`` in words; return its summary."""
    options = progress.options
    if not options.readings_in_a_server:
        plant = {"began": progress.began.isoformat(), "models": options.models}
        tree["sensors"] = {"kind": "python:latigo.sandbox.demo:open_demo_sensors", "options": plant}
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(open_embedded(Path(tree["ledger"]["data_dir"])))
        tree["ledger"] = {"kind": "postgres", "url": url}
        tree["task_queue"] = {"kind": "postgres", "expiration": "10s"}  # less than by default: the demo is short
        if options.distributed:
            hub = await opened.enter_async_context(open_event_hubs(hubs={"latigo": PARTITIONS}))
            string = hub.connection_string("latigo")
            tree["task_queue"] = {"kind": "eventhub", "connection_string": string, "balance": "2s", "expiration": "10s"}
        config = folder / "latigo.toml"
        config.write_text(to_toml(tree), encoding="utf-8")
        database = await opened.enter_async_context(open_ledger(Settings.model_validate(tree), migrate=True))
        async with AsyncExitStack() as running:
            executors = options.executors or EXECUTORS
            ports = [(RoleName.SCHEDULER, options.port), *[(RoleName.EXECUTOR, 0)] * executors]
            processes = [
                await running.enter_async_context(_process(role, config, port, verbose=options.verbose))
                for role, port in ports
            ]
            numbers = ", ".join(str(process.pid) for process in processes)
            progress.report(
                f"A scheduler and {counted(executors, 'executor')} are processes {numbers}: kill one and see"
            )
            if options.port and address is not None:
                progress.report(address)
            await progress.follow(database)
        return await progress.summary(database)


@asynccontextmanager
async def _process(
    role: RoleName, config: Path, port: int, *, verbose: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``latigo serve`` in a process of its own; drain it at the end."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LATIGO_")}
    level = "info" if verbose else "error"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo", "serve", "--role", role.value, "--config", str(config)),
        env={**inherited, "LATIGO_HTTP__PORT": str(port), "LATIGO_LOG__LEVEL": level},
        start_new_session=True,  # Ctrl-C is for this process, which then ends the others
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(DRAIN_LIMIT.total_seconds()):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.returncode not in {0, -signal.SIGKILL}:  # a user may have killed it, as the demo invites to
            raise LatigoError(f"the process of the {role.value} ended with exit code {process.returncode}")
