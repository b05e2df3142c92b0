"""CPU of commands that ask the ledger, from the start of the program to its end.

A small ledger, so that the start is what is measured: a hundred models, with everything that a month leaves behind.
The floor is a bare Python that imports asyncpg and pydantic, connects and asks one statement. Commands and floor take
turns; the best of several rounds counts, user and system time of the whole process, and not that of the database.
Python keeps the bytecode of what it imports, as of a package that is installed; the first round writes it and does
not count.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from benchmarks.control import CONTROL
from benchmarks.planning import put_models
from benchmarks.report import Row
from benchmarks.stage import open_ledger
from benchmarks.status import PLANT

COMMANDS = ("status", "models list", "plan", "failures")
MODELS = 100
ROUNDS = 9
LIMIT = 0.6  #: seconds of CPU

_FLOOR = """
import asyncio, sys
import asyncpg, pydantic

class Answer(pydantic.BaseModel):
    value: int

async def ask():
    connection = await asyncpg.connect(sys.argv[1])
    print(Answer(value=await connection.fetchval("SELECT 1")))
    await connection.close()

asyncio.run(ask())
"""


async def measure() -> list[Row]:
    """Interleaved rounds of the floor and all commands; the best of each."""
    async with open_ledger() as ledger:
        async with ledger.database.connection() as connection:
            await put_models(connection, MODELS)
            for statement in PLANT.values():
                await connection.execute(statement)
        with tempfile.TemporaryDirectory(prefix="latigo-bench-") as folder:
            return await asyncio.to_thread(_measure, ledger.url, folder)


def _measure(url: str, folder: str) -> list[Row]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIGO")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= {"PYTHONPYCACHEPREFIX": folder, "LATIGO_LEDGER__KIND": "postgres", "LATIGO_LEDGER__URL": url}
    programs = {command: ("-m", "latigo", *command.split()) for command in COMMANDS} | {"": ("-c", _FLOOR, url)}
    rounds = []
    for _ in range(ROUNDS + 1):
        CONTROL.take()
        rounds.append({name: _cpu_of(program, folder, environment) for name, program in programs.items()})
    best = {name: min(each[name] for each in rounds[1:]) for name in programs}
    floor = best.pop("")
    rows = []
    for command, took in best.items():
        what = f"latigo {command}, {MODELS} models, CPU of the command"
        rows += [
            Row(what, f"{took:.3f} s", f"<= {LIMIT:g} s", took / LIMIT, at_most=1.0),
            Row(f"{what}, against asking one statement", f"{took:.3f} s", f"{floor:.3f} s", took / floor),
        ]
    return rows


def _cpu_of(program: Sequence[str], folder: str, environment: Mapping[str, str]) -> float:
    """Return seconds of CPU, user and system, of a Python program that answers."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *program], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 3}:  # 3: what was asked for needs attention
            output.seek(0)
            raise RuntimeError(f"{' '.join(program[:3])} failed: {output.read().decode(errors='replace')[-1000:]}")
    return usage.ru_utime + usage.ru_stime
