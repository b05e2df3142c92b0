"""Cost of Latigo's queue on top of the Event Hubs client: the same events through the same emulator.

Publishing is the sender with tasks as the scheduler has them, 2000 at once, against batches of bytes for each
partition that were made beforehand. Consuming is the receiver with a consumer that finishes every task at once,
checkpoints in PostgreSQL included, against a handler that does nothing and checkpoints nothing. Both sides run in a
process of their own and take turns. The emulator, also in a process of its own, is Python too and may be what limits
either; the CPU next to the rates is that of the sides alone.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Literal

from benchmarks.report import Row
from benchmarks.stage import Program, open_ledger, running

PARTITIONS = 8
EVENTS = 8000  #: of a turn
ROUNDS = 3

Answer = Mapping[str, float]
Deed = Literal["publish", "consume"]


async def measure() -> list[Row]:
    """Interleaved turns of both; medians."""
    turns = await _rounds()
    what = f"Event Hubs queue, {PARTITIONS} partitions"
    return [
        _row(f"{what}: tasks published a second, against the bare client", turns["publish"]),
        _row(f"{what}: tasks taken and done a second, against the bare client", turns["consume"]),
    ]


def _row(what: str, turns: Sequence[tuple[Answer, Answer]]) -> Row:
    def each(answers: Sequence[Answer]) -> str:
        cpu = statistics.median(answer["cpu"] / answer["events"] for answer in answers) * 1000
        return f"{statistics.median(map(_rate, answers)):.0f}/s ({cpu:.2f} ms CPU each)"

    return Row(
        what,
        each([our for our, _ in turns]),
        each([their for _, their in turns]),
        statistics.median(_rate(our) / _rate(their) for our, their in turns),
    )


def _rate(answer: Answer) -> float:
    return answer["events"] / answer["wall"]


async def _rounds() -> dict[Deed, list[tuple[Answer, Answer]]]:
    turns: dict[Deed, list[tuple[Answer, Answer]]] = {"publish": [], "consume": []}
    async with AsyncExitStack() as opened:
        command = (sys.executable, "-m", "latigo.sandbox.eventhub", "--partitions", str(PARTITIONS))
        emulator = await opened.enter_async_context(
            running(*command, "--hub", "latigo", "--hub", "bare", name="the Event Hubs emulator")
        )
        hubs: dict[str, str] = (await emulator.read())["connection_strings"]
        ledger = await opened.enter_async_context(open_ledger())
        ours, theirs = [
            await opened.enter_async_context(_side(side, hubs[side], ledger.url)) for side in ("latigo", "bare")
        ]
        for _ in range(ROUNDS + 1):
            for action, result in turns.items():
                result.append((await ours.ask({action: EVENTS}), await theirs.ask({action: EVENTS})))
    # The first round warms both up.
    return {action: result[1:] for action, result in turns.items()}


def _side(side: str, connection_string: str, ledger: str) -> AbstractAsyncContextManager[Program]:
    configuration = {"side": side, "connection_string": connection_string, "ledger": ledger}
    return running(sys.executable, "-m", "benchmarks.event_hubs_program", json.dumps(configuration), name=side)
