"""A ledger restored from a backup while the event hub keeps its messages: nothing is covered that was not predicted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from latigo.postgres.programs import find_programs
from latigo.sandbox.eventhub import EventHubsEmulator, open_event_hubs
from latigo.task_queue.envelope import decode
from tests.support.event_hubs import HUB
from tests.support.postgres import database_on, execute
from tests.support.process import PROJECT, Service, latigo, newest_due, serving
from tests.support.sandbox import Sandbox

DONE = 0
COMMAND = "latigo ledger restored"
PUMP, COMPRESSOR, SEPARATOR = "pump-001", "compressor-002", "separator-003"
#: Slots that are covered in the ledger and have no row in the sink.
EMPTY = """
SELECT c.model, start FROM v_coverage c JOIN v_models m USING (project, model) CROSS JOIN unnest(c.covered) AS stretch
CROSS JOIN generate_series(lower(stretch), upper(stretch) - interval '1 us', m.slot) AS start
WHERE NOT EXISTS (SELECT FROM v_predictions p
                  WHERE p.project = c.project AND p.model = c.model AND p.time >= start AND p.time < start + m.slot)
"""


@dataclass
class Plant:
    """A small plant with a hub in the test's own loop."""

    sandbox: Sandbox
    hub: EventHubsEmulator

    def config(self, *models: str) -> Path:
        """The configuration of a service that predicts these models only."""
        queue = {"kind": "eventhub", "connection_string": self.hub.connection_string(HUB)}
        quick = {"balance": "500ms", "expiration": "3s"}
        include = [f"{PROJECT}/{model}" for model in models]
        return self.sandbox.config(task_queue={**queue, **quick}, models={"include": include})

    async def work_off(self, *models: str) -> None:
        """Run a scheduler and an executor until everything due of these models is predicted."""
        config = self.config(*models)
        async with serving(config, role="scheduler") as scheduler, serving(config, role="executor") as executor:
            await self.whole(executor, len(models))
            assert [await scheduler.stop(), await executor.stop()] == [DONE, DONE]

    async def whole(self, service: Service, models: int) -> None:
        until = newest_due()
        await service.until(lambda: self.sandbox.ledger.is_whole(models, until), what="all is covered")

    async def save(self) -> Path:
        """Make a backup of the ledger."""
        backup = self.sandbox.folder / "ledger.dump"
        await run("pg_dump", "--format=custom", f"--file={backup}", self.sandbox.ledger.url)
        return backup

    async def restore(self, backup: Path) -> None:
        """Replace the ledger by its backup."""
        url = self.sandbox.ledger.url
        server, name = database_on(url, "postgres"), urlsplit(url).path.removeprefix("/")
        await execute(server, f"DROP DATABASE {name} WITH (FORCE)")
        await execute(server, f"CREATE DATABASE {name} TEMPLATE template0")
        await run("pg_restore", "--exit-on-error", f"--dbname={url}", str(backup))

    def sent(self) -> Counter[tuple[int, str]]:
        """The messages in the hub: number and model of their tasks."""
        events = [event for partition in self.hub.hub(HUB).partitions for event in partition.events]
        tasks = [decode(event.message[event.message.index(b'{"v"') :]) for event in events]
        return Counter((task.id, task.ref.name) for task in tasks)

    async def alarms(self) -> list[str]:
        """The alarms that name the command."""
        return [alarm for alarm in (await self.sandbox.ledger.status())["alarms"] if COMMAND in alarm]


async def run(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL."""
    process = await asyncio.create_subprocess_exec(
        find_programs() / program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.fixture
async def plant(sandbox: Sandbox) -> AsyncIterator[Plant]:
    async with open_event_hubs({HUB: 2}) as hub:
        yield Plant(sandbox, hub)


async def test_a_restored_ledger_covers_nothing_without_a_prediction_and_names_the_command(plant: Plant):
    ledger = plant.sandbox.ledger
    await plant.work_off(PUMP)
    backup = await plant.save()
    await plant.work_off(PUMP, COMPRESSOR)
    lost = plant.sent()
    assert await ledger.fetch(EMPTY) == []
    assert await plant.alarms() == []

    await plant.restore(backup)
    config = plant.config(PUMP, SEPARATOR)
    async with serving(config, role="scheduler") as scheduler:
        published = "SELECT count(*) FROM v_tasks WHERE state = 'published' AND model = $1"
        await scheduler.until(lambda: ledger.value(published, SEPARATOR), what="numbers are handed out again")
        async with serving(config, role="executor") as executor:
            await plant.whole(executor, 2)
            assert await ledger.fetch(EMPTY) == []
            await executor.until(plant.alarms, what="the alarm")
            shown, status, _ = await latigo("status", "--config", str(config), folder=plant.sandbox.folder)
            code, restored, _ = await latigo(
                "ledger", "restored", "--yes", "--json", "--config", str(config), folder=plant.sandbox.folder
            )
            assert (shown, code) == (3, DONE)
            assert COMMAND in status
            assert await plant.alarms() == []
            await plant.whole(executor, 2)
            assert [await scheduler.stop(), await executor.stop()] == [DONE, DONE]
    until = newest_due()
    await plant.work_off(PUMP, COMPRESSOR, SEPARATOR)

    reused = {number for number, _ in lost} & {number for number, model in plant.sent() if model == SEPARATOR}
    assert reused
    assert orjson.loads(restored)["incarnation"] == await ledger.value("SELECT incarnation FROM ledger_identity")
    assert await plant.alarms() == []
    assert await ledger.fetch(EMPTY) == []
    await ledger.assert_adds_up(3, until)
