"""A short form of `make soak`."""

import tempfile
from pathlib import Path

from chaos.soak.run import run, size_of

TASKS, KILLS, SEED = 200, 3, 5
WITHIN_S = 240.0


async def test_nothing_is_lost_doubled_or_wrong_and_nothing_is_left_in_the_queue_after_a_few_kills():
    said: list[str] = []
    size = size_of(TASKS, "postgres", models=8)

    with tempfile.TemporaryDirectory(prefix="latigo-soak-") as folder:  # PostgreSQL of another user can reach it
        soak = await run(Path(folder), size, seed=SEED, tasks=TASKS, kills=KILLS, limit_s=WITHIN_S, say=said.append)

    assert soak.faults() == [], "\n".join(said)
    assert soak.kills.total() == KILLS
    assert soak.tasks >= TASKS
    assert soak.outcome.verdict.values > 0
    assert soak.rows["queued_task"] == soak.rows["queue_receiver"] == 0
