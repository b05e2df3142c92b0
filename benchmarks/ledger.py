"""Cost of claims and settlements: real PostgreSQL, executors in processes of their own, and nothing but the ledger."""

import asyncio
import statistics
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from benchmarks.planning import SPEC
from benchmarks.report import Row
from benchmarks.stage import BEGIN, PROJECT, SLOT, Ledger, Plan, Program, open_ledger, running
from benchmarks.status import cpu_of_children, parent_of
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.windows import Window

PROCESSES = 4
MODELS = 4000
ROUNDS = 5
TASKS_PER_SECOND, MILLISECONDS, TRANSACTIONS = 1000.0, 0.2, 0.2


async def measure() -> list[Row]:
    """Every model has a task in each round, which one of several executors claims and settles, 32 at a time in each."""
    rates, costs, transactions = [], [], []
    async with AsyncExitStack() as opened:
        ledger = await opened.enter_async_context(open_ledger())
        specs = [ModelSpec.from_json(ModelRef(PROJECT, f"model-{n}"), "1", True, SPEC) for n in range(MODELS)]
        await ledger.describe(specs)
        programs = [await opened.enter_async_context(_running(ledger.url)) for _ in range(PROCESSES)]
        async with ledger.database.connection() as connection:
            server = parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
        for number in range(ROUNDS + 1):
            window = Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT)
            envelopes = await ledger.envelopes([Plan([spec.ref.name for spec in specs], window)])
            before, cpu = await committed(ledger), cpu_of_children(server)
            answers = await asyncio.gather(
                *(_work(program, envelopes[n::PROCESSES]) for n, program in enumerate(programs))
            )
            costs.append((cpu_of_children(server) - cpu) / MODELS * 1000)
            transactions.append((await committed(ledger) - before) / MODELS)
            rates.append(MODELS / max(answer["wall"] for answer in answers))
    rate, cost, share = (
        statistics.median(values[1:]) for values in (rates, costs, transactions)
    )  # the first one warms up
    what = f"claims and settlements, {PROCESSES} processes, 32 at a time in each"
    return [
        Row(what, f"{rate:.0f} /s", f">= {TASKS_PER_SECOND:.0f} /s", rate / TASKS_PER_SECOND, at_least=1.0),
        Row(
            f"{what}: CPU of PostgreSQL a task",
            f"{cost:.3f} ms",
            f"<= {MILLISECONDS} ms",
            cost / MILLISECONDS,
            at_most=1.0,
        ),
        Row(f"{what}: transactions a task", f"{share:.2f}", f"<= {TRANSACTIONS}", share / TRANSACTIONS, at_most=1.0),
    ]


def _running(url: str) -> AbstractAsyncContextManager[Program]:
    return running(sys.executable, "-m", "benchmarks.ledger_program", url, name="an executor")


async def _work(program: Program, envelopes: list[str]) -> dict[str, float]:
    return await program.ask({"tasks": envelopes})


async def committed(ledger: Ledger) -> int:
    """Transactions so far; every session reports its own with a delay, at the end of one."""
    await asyncio.sleep(1.5)
    async with ledger.database.connection() as connection:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        transactions: int = await connection.fetchval(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        return transactions
