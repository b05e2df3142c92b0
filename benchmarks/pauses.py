"""How long the event loop stands still: while a document of another system is read, and during the longest tasks.

A task of the loop sleeps a millisecond again and again; what is measured is the longest time between two of its turns.
Each document is as large as it may be, ordinary or as costly as can be: read as Latigo does, and by one call of a
parser in C. What a thread causes that counts in Python is subtracted from both: the load of the machine, and the 5 ms
after which threads take turns. In the same way: what a scheduler does with the needs of 100 000 models, and with as
many tasks as it publishes at once, against the same work on the event loop.

The longest tasks are run by an executor in a process of its own: the largest window that settings allow, of a model
with 20 tags that is read every 10 s and predicted every minute, from every kind of source and to every kind of sink.
That is everything from the claim to the receipt. What counts is the CPU time of the loop's own thread between two turns
of the task that sleeps; the pause by the clock, which also has what others do on the machine, stands next to it.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import msgpack
import orjson
from asyncpg import Range

from benchmarks import pauses_of_tasks
from benchmarks.planning import SPEC
from benchmarks.report import Row
from benchmarks.stage import SLOT
from latigo.ledger.model_protocol import KnownModel
from latigo.ledger.scheduler_store import needs_of, tasks_of
from latigo.postgres.arrays import columns
from latigo.providers.influx.responses import decode
from latigo.runtime.collector import collector_paused
from latigo.runtime.documents import LARGEST, MOST_VALUES, read_json
from latigo.scheduler.groups import Group, Groups
from latigo.scheduler.listing import changes
from latigo.scheduler.loop import PUBLISHED_AT_ONCE
from latigo.scheduler.plan import Agenda
from latigo.scheduler.selection import SelectedModels
from latigo.task_queue.envelope import HIGHEST
from latigo.task_queue.eventhub.sender import messages_of
from latigo.task_queue.postgres.sender import message_of

LIMIT_MS = 25
ROUNDS = 5
_METADATA = Path(__file__).parents[1] / "tests/data/gordo_recorded/responses/metadata-wide-keras.json"
_MSGPACK = "application/x-msgpack"
_FEW = 100  #: values less than there may be
MODELS = 100_000
DUE = datetime(2026, 1, 1, tzinfo=UTC)
LEDGER = UUID(int=1)

Work = Callable[[], object]


async def measure() -> list[Row]:
    """Return one row a kind of document or of the scheduler's work, and one a kind of source or sink."""
    works = [(*each, "in one call") for each in _documents()]
    works += [(name, work, work, "on the event loop") for name, work in _planning().items()]
    return [*await _rows_of(works), *await pauses_of_tasks.measure(LIMIT_MS)]


async def _rows_of(works: Iterable[tuple[str, Work, Work, str]]) -> list[Row]:
    """Return one row for each: its name, the work in a thread, what it is held against, and what that is."""
    rows = []
    for name, ours, at_once, other in works:
        gc.collect()
        gc.freeze()  # as a service does once it has started
        on_loop = ours is at_once
        pauses = [
            [
                await _longest_pause(ours),
                await _longest_pause(at_once, on_loop=on_loop),
                await _longest_pause(_count),
            ]
            for _ in range(ROUNDS)
        ]
        ms, ms_at_once, control = (1e3 * statistics.median(each) for each in zip(*pauses, strict=True))
        ms, ms_at_once = (max(each - control, 0) for each in (ms, ms_at_once))
        against = f"{LIMIT_MS} ms ({other}: {ms_at_once:.0f} ms)"
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
    packed = msgpack.packb({"results": [{"series": [{**table, "values": list(rows)}]}]})
    return [
        (name, lambda body=body: read_json(body), lambda body=body: orjson.loads(body)) for name, body in json.items()
    ] + [
        ("100 000 integers of InfluxDB", lambda: decode(_MSGPACK, packed), lambda: msgpack.unpackb(packed)),
        (f"needs of {MODELS} models", lambda: _agenda().clear(), lambda: sorted(_lacking())),
    ]


def _lacking() -> list[tuple[object, ...]]:
    """Return rows of needs, of a live window each."""
    window, others = (DUE, DUE + SLOT), (None,) * 6
    return [
        (n, f"plant-{n % 10}", f"model-{n:06d}", 1, DUE - timedelta(seconds=n % 1800), None, *window, *others)
        for n in range(MODELS)
    ]


def _agenda() -> Agenda:
    with collector_paused():  # as where needs are read
        return Agenda.of(needs_of(_lacking()))


def _copied(agenda: Agenda) -> Agenda:
    return Agenda({lane: needs.copy() for lane, needs in agenda.lanes.items()})


def _planning() -> dict[str, Work]:
    """Return what a scheduler does again and again with all that is needed, or to be published."""
    agenda = _agenda()
    groups = Groups([], (), {n: Group("blocked", ()) for n in range(MODELS)})
    blocked, none = frozenset([Group("blocked", ())]), Group("none", ())
    spec = {**SPEC, "tag_list": tuple(SPEC["tag_list"])}
    rows = [
        {
            "id": n,
            "epoch": 1,
            "project": f"plant-{n % 10}",
            "name": f"model-{n:06d}",
            "revision": "1",
            "anomaly": True,
            "spec": spec,
            "span": Range(DUE, DUE + SLOT),
            "slot": SLOT,
            "lane": "live",
            "trace": "",
            "probe": False,
            "ledger": LEDGER,
            "incarnation": 1,
            "copy_to": None,
        }
        for n in range(1, PUBLISHED_AT_ONCE + 1)
    ]
    tasks = tasks_of(rows)
    names = tuple(f"model-{n:06d}" for n in range(MODELS))
    known = [KnownModel(n, name, "1", "active", False, SLOT, SLOT, SLOT, SLOT) for n, name in enumerate(names)]
    listing = SelectedModels("plant", "1", names)
    return {
        f"{MODELS} models compared with a list": lambda: changes(known, listing, "1"),
        f"{MODELS} needs dropped, as a circuit is open": lambda: _copied(agenda).drop(
            lambda need: groups.of(need.model_id, need.project) in blocked
        ),
        f"a probe looked for among {MODELS} needs": lambda: agenda.take_probe(
            lambda need: groups.of(need.model_id, need.project) == none
        ),
        f"{PUBLISHED_AT_ONCE} tasks read from the ledger": lambda: tasks_of(rows),
        f"{PUBLISHED_AT_ONCE} tasks written for the queue in the ledger": lambda: columns(
            message_of(task, HIGHEST) for task in tasks
        ),
        f"{PUBLISHED_AT_ONCE} tasks written for Event Hubs": lambda: messages_of(tasks, HIGHEST),
    }


async def _longest_pause(work: Work, *, on_loop: bool = False) -> float:
    turns = [time.perf_counter()]

    async def take_turns() -> None:
        while True:
            await asyncio.sleep(1e-3)
            turns.append(time.perf_counter())

    task = asyncio.create_task(take_turns())
    await asyncio.sleep(0.01)
    if on_loop:
        _done(work)
    else:
        await asyncio.to_thread(_done, work)
    await asyncio.sleep(0.01)
    task.cancel()
    return max(later - earlier for earlier, later in pairwise(turns))


def _count() -> int:
    return sum(1 for _ in range(5_000_000))


def _done(work: Work) -> None:
    work()  # what it returns is released here
