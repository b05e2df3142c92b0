"""How long the event loop stands still: while a document of another system is read, and during the longest tasks.

A task of the loop sleeps a millisecond again and again; what is measured is the longest time between two of its turns.
Each document is as large as it may be, ordinary or as costly as can be: read as Latigo does, and by one call of a
parser in C. What a thread causes that counts in Python is subtracted from both: the load of the machine, and the 5 ms
after which threads take turns.

The longest tasks are run by an executor in a process of its own: the largest window that settings allow, of a model
with 20 tags that is read every 10 s and predicted every minute, from every kind of source and to every kind of sink.
That is everything from the claim to the receipt. What counts is the CPU time of the loop's own thread between two turns
of the task that sleeps; the pause by the clock, which also has what others do on the machine, stands next to it.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgpack
import orjson

from benchmarks import pauses_of_tasks
from benchmarks.report import Row
from benchmarks.stage import SLOT
from latigo.ledger.scheduler_store import needs_of
from latigo.providers.influx.responses import decode
from latigo.runtime.documents import LARGEST, MOST_VALUES, read_json
from latigo.scheduler.plan import Agenda

LIMIT_MS = 25
ROUNDS = 5
_METADATA = Path(__file__).parents[1] / "tests/data/gordo_recorded/responses/metadata-wide-keras.json"
_MSGPACK = "application/x-msgpack"
_FEW = 100  #: values less than there may be

Work = Callable[[], object]


async def measure() -> list[Row]:
    """Return one row a kind of document, and one a kind of source or sink."""
    return [*await _rows_of_documents(), *await pauses_of_tasks.measure(LIMIT_MS)]


async def _rows_of_documents() -> list[Row]:
    rows = []
    for name, ours, at_once in _documents():
        gc.collect()
        gc.freeze()  # as a service does once it has started
        pauses = [[await _longest_pause(work) for work in (ours, at_once, _count)] for _ in range(ROUNDS)]
        ms, ms_at_once, control = (1e3 * statistics.median(each) for each in zip(*pauses, strict=True))
        ms, ms_at_once = (max(each - control, 0) for each in (ms, ms_at_once))
        against = f"{LIMIT_MS} ms (in one call: {ms_at_once:.0f} ms)"
        what = f"longest pause of the event loop, {name}"
        rows.append(Row(what, f"{ms:.0f} ms", against, ms / LIMIT_MS, at_most=1))
    return rows


def _documents() -> list[tuple[str, Work, Work]]:
    metadata = _METADATA.read_bytes()
    values = MOST_VALUES - _FEW
    keys = b"{" + b",".join(b'"%x":1' % n for n in range(100_000)) + b"}"
    json = {
        "metadata of 1400 tags": b"[" + b",".join([metadata] * 70) + b"]",
        "a list of 100 000 models": orjson.dumps(
            {"models": [f"model-{n:06d}-of-a-large-plant" for n in range(100_000)]}
        ),
        "JSON of numbers": b"[" + b"1.5," * values + b"1.5]",
        "JSON of keys": b"[" + b",".join([keys] * (MOST_VALUES // 100_000 - 1)) + b"]",
        "JSON of empty arrays": b"[" + b"[]," * 100_000 + b"[]]",
        "JSON of one text": b'"' + b"\\n" * (LARGEST // 2 - 1) + b'"',
    }
    table = {"name": "a", "columns": ["time", "Value"]}
    rows = ([1_764_547_200_000_000_000 + n, n] for n in range(100_000))
    due = datetime(2026, 1, 1, tzinfo=UTC)
    window, others = (due, due + SLOT), (None,) * 6
    lacking = [
        (n, f"plant-{n % 10}", f"model-{n:06d}", 1, due - timedelta(seconds=n % 1800), None, *window, *others)
        for n in range(100_000)
    ]
    packed = msgpack.packb({"results": [{"series": [{**table, "values": list(rows)}]}]})
    return [
        (name, lambda body=body: read_json(body), lambda body=body: orjson.loads(body)) for name, body in json.items()
    ] + [
        ("100 000 integers of InfluxDB", lambda: decode(_MSGPACK, packed), lambda: msgpack.unpackb(packed)),
        ("needs of 100 000 models", lambda: Agenda.of(needs_of(lacking)), lambda: sorted(lacking)),
    ]


async def _longest_pause(work: Work) -> float:
    turns = [time.perf_counter()]

    async def take_turns() -> None:
        while True:
            await asyncio.sleep(1e-3)
            turns.append(time.perf_counter())

    task = asyncio.create_task(take_turns())
    await asyncio.sleep(0.01)
    await asyncio.to_thread(_done, work)
    await asyncio.sleep(0.01)
    task.cancel()
    return max(later - earlier for earlier, later in pairwise(turns))


def _count() -> int:
    return sum(1 for _ in range(5_000_000))


def _done(work: Work) -> None:
    work()  # what it returns is released here
