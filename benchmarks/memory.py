"""Memory of the executor with the longest windows, 32 at a time, and its growth."""

import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from benchmarks.report import Row
from benchmarks.stage import BEGIN, PROJECT, Plan, open_ledger, running_executor, running_stub, specs_of, write_readings
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window

MODELS = 100
TAGS = 20
ORDERS = 24
MOST_MB = 250.0
#: What the allocator may add by chance.
FLAT = 1.05


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        answers = await _answers(Path(folder) / "readings.npz")
    tasks = 2 * MODELS * len(answers)
    held = [answer["rss"] for answer in answers]
    # By the middle pools and caches are filled, and as many calls are under way as the working limit ever allows.
    early, late = held[len(held) // 2 : -len(held) // 4], held[-len(held) // 4 :]
    most = max(answer["peak"] for answer in answers)
    what = f"memory of the executor, 32 in flight, {tasks} windows of a day, {TAGS} tags at 10 s"
    return [
        Row(f"{what}: the most", f"{most:.0f} MB", f"{MOST_MB:.0f} MB", most / MOST_MB, at_most=1.0),
        Row(
            f"{what}: last quarter against the one before",
            f"{max(late):.0f} MB",
            f"{max(early):.0f} MB",
            max(late) / max(early),
            at_most=FLAT,
        ),
    ]


async def _answers(readings: Path) -> list[dict[str, float]]:
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(running_stub(MODELS, TAGS))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, PROJECT, ledger.database)
        await ledger.describe(specs)
        day = Window(BEGIN - timedelta(hours=2), BEGIN + DAY)
        write_readings(readings, specs, day, timedelta(seconds=10))
        configuration = {
            "project": PROJECT,
            "readings": str(readings),
            "repeated": True,
            "ledger": ledger.url,
            "gordo": url,
        }
        executor = await opened.enter_async_context(running_executor(configuration))
        names = [spec.ref.name for spec in specs]
        answers = []
        for number in range(ORDERS):
            days = [Window(first, first + DAY) for first in (BEGIN + 2 * number * DAY, BEGIN + (2 * number + 1) * DAY)]
            plans = [Plan(names, days[1], Lane.LIVE), Plan(names, days[0], Lane.BACKFILL)]
            answers.append(await executor.ask({"tasks": await ledger.envelopes(plans)}))
        await ledger.check_stored(2 * MODELS * ORDERS)
        return answers
