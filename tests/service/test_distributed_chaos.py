"""One scheduler, three executors, eight partitions, two thousand tasks, and processes that are killed at random."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random

from azure.eventhub.aio import EventHubProducerClient

from tests.support.event_hubs import HUB, EmulatorProcess, running_event_hubs
from tests.support.process import Service, newest_due, serving
from tests.support.sandbox import Sandbox, open_sandbox
from tests.support.waiting import eventually

SEED = 20261123
MODELS, SLOTS = 200, 10
TASKS = MODELS * SLOTS
PARTITIONS, EXECUTORS = 8, 3
#: Who is killed, in an order that the seed decides; so many tasks are settled between one and the next.
VICTIMS = ("executor",) * 6 + ("scheduler",) * 2 + ("emulator",) * 2
WITHIN = 300.0
#: At once, in each executor; so many runs each of them can have in vain when it is killed.
CONCURRENCY = 8


@dataclass
class Plant:
    """All processes, each of which can be killed and comes back."""

    sandbox: Sandbox
    folder: Path
    opened: AsyncExitStack
    emulator: EmulatorProcess
    scheduler: Service | None = None
    executors: dict[int, Service] = field(default_factory=dict)

    async def start_emulator(self, port: int) -> EmulatorProcess:
        return await self.opened.enter_async_context(
            running_event_hubs(port=port, partitions=PARTITIONS, data_dir=self.folder / "hub")
        )

    async def start(self, role: str) -> Service:
        config = self.sandbox.config(
            schedule={"interval": "30s", "delay": "1s", "max_window": "30s"},
            backfill={"horizon": f"{SLOTS // 2}m"},
            # Longer than any pause on a busy machine: only the lease of a killed process expires.
            executor={"concurrency": CONCURRENCY, "lease": "10s"},
            planner={"lease": "12s"},
            ledger={"kind": "postgres", "url": self.sandbox.ledger.url, "pool_size": 5},
            task_queue={
                "kind": "eventhub",
                "connection_string": self.emulator.connection_string,
                "balance": "1s",
                "expiration": "4s",
                "max_outstanding": 500,
            },
        )
        return await self.opened.enter_async_context(serving(config, role=role))

    async def kill(self, victim: str, random: Random) -> None:
        """Kill one of these, at once, and start another in its place."""
        match victim:
            case "emulator":
                await self.emulator.kill()
                self.emulator = await self.start_emulator(self.emulator.port)
            case "scheduler":
                assert self.scheduler is not None
                await self.scheduler.kill()
                self.scheduler = await self.start("scheduler")
            case _:
                number = random.choice(sorted(self.executors))
                await self.executors[number].kill()
                self.executors[number] = await self.start("executor")

    async def ends(self) -> dict[str, int]:
        """Return the newest event of each partition, as reported by the hub."""
        client = EventHubProducerClient.from_connection_string(self.emulator.connection_string, eventhub_name=HUB)
        async with client:
            names = await client.get_partition_ids()
            result = [await client.get_partition_properties(name) for name in names]
        return {each["id"]: each["last_enqueued_sequence_number"] for each in result}

    async def settled(self) -> int:
        return int(await self.sandbox.ledger.value("SELECT count(*) FROM v_tasks WHERE state = 'stored'"))

    async def settles(self, tasks: int) -> None:
        async def enough() -> bool:
            return await self.settled() >= tasks

        await eventually(enough, within=WITHIN, every=0.2, what=f"{tasks} tasks are settled")

    async def covers_everything(self) -> datetime:
        until = newest_due()
        await eventually(
            lambda: self.sandbox.ledger.is_whole(MODELS, until),
            within=WITHIN,
            every=1.0,
            what="every window is covered",
        )
        return until

    async def checkpoints(self) -> dict[str, int]:
        rows = await self.sandbox.ledger.fetch("SELECT partition, sequence FROM queue_checkpoint")
        return {row["partition"]: row["sequence"] for row in rows}

    async def is_drained(self) -> bool:
        return await self.checkpoints() == await self.ends()


async def test_every_window_is_covered_and_hardly_any_runs_twice_whichever_process_is_killed(
    ledger_url: str, tmp_path: Path
):
    random = Random(SEED)
    victims = random.sample(VICTIMS, len(VICTIMS))
    async with open_sandbox(ledger_url, tmp_path, models=MODELS) as sandbox, AsyncExitStack() as opened:
        emulator = running_event_hubs(partitions=PARTITIONS, data_dir=tmp_path / "hub")
        plant = Plant(sandbox, tmp_path, opened, await opened.enter_async_context(emulator))
        plant.scheduler = await plant.start("scheduler")
        plant.executors = {number: await plant.start("executor") for number in range(EXECUTORS)}

        async with asyncio.timeout(WITHIN):
            for number, victim in enumerate(victims):
                await plant.settles(TASKS * (number + 1) // (len(victims) + 2) + random.randrange(100))
                await plant.kill(victim, random)
            until = await plant.covers_everything()

        assert await plant.scheduler.stop() == 0
        await eventually(plant.is_drained, within=60, what="nothing is left in the hub")
        assert [await executor.stop() for executor in plant.executors.values()] == [0] * EXECUTORS
        ends = await plant.ends()
        owners = await sandbox.ledger.fetch("SELECT partition, owner_id FROM queue_ownership")
        assert len(ends) == PARTITIONS
        assert await plant.checkpoints() == ends
        assert {row["partition"]: row["owner_id"] for row in owners} == dict.fromkeys(ends, "")
        assert await plant.settled() >= TASKS
        assert await sandbox.ledger.value("SELECT count(*) FROM queue_refused") == 0
        assert await sandbox.ledger.parked() == []
        runs = sandbox.executed()
        assert len(runs) - len(set(runs)) <= VICTIMS.count("executor") * CONCURRENCY, "claims keep repeats from running"
        await sandbox.ledger.assert_adds_up(MODELS, until)
