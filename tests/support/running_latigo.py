"""The whole of Latigo in this process, at a time of the test's choosing, and the contents of its ledger and sink."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from latigo.domain.coverage import Coverage
from latigo.domain.series import Column
from latigo.domain.windows import Window, to_ns
from latigo.postgres.database import Database
from latigo.runtime.clock import SystemClock
from latigo.runtime.lifecycle import run_until_stopped
from latigo.settings import Settings
from latigo.task_queue.internal import InternalQueue
from latigo.wiring.resources import Resources, open_resources
from latigo.wiring.roles import create_executor, open_scheduler
from tests.support.gordo_client import Points
from tests.support.postgres import execute
from tests.support.waiting import eventually

_STOPS_WITHIN = timedelta(seconds=90)
_COMES_WITHIN = 300.0  # 20 s on an idle machine
_MISSING = "SELECT $1 - count(DISTINCT name) FROM model WHERE name = ANY ($2) AND revision = $3"
_LEFT = "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM model_holes WHERE NOT isempty(holes))"


class ShiftedClock(SystemClock):
    """Runs like any clock, from a time of the test's choosing on: windows and readings are the same in every run."""

    def __init__(self, now: datetime) -> None:
        self._shift = now - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift

    async def set(self, now: datetime, ledger: str) -> None:
        """Let it be another time from now on, for the ledger with this URL as well."""
        self._shift = now - datetime.now(UTC)
        await self.share(ledger)

    async def share(self, ledger: str) -> None:
        """Let the ledger with this URL go by this clock."""
        microseconds = self._shift // timedelta(microseconds=1)
        await execute(
            ledger,
            "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE "
            f"AS $$ SELECT clock_timestamp() + {microseconds} * interval '1 microsecond' $$",
        )


@asynccontextmanager
async def running_latigo(settings: Settings, clock: ShiftedClock) -> AsyncIterator[Resources]:
    """Scheduler and executor on everything that the settings name; a role that fails ends the body."""
    queue, stop = InternalQueue(), asyncio.Event()
    async with (
        open_resources(settings, clock=clock) as resources,
        open_scheduler(resources, queue) as scheduling,
        asyncio.TaskGroup() as group,
    ):
        roles = {"executor": create_executor(resources, queue).run, **scheduling}
        group.create_task(run_until_stopped(roles, stop, _STOPS_WITHIN))
        try:
            yield resources
        finally:
            stop.set()


async def all_known(resources: Resources, models: Collection[str], revision: str) -> None:
    """Wait until the ledger knows these models in this revision."""

    async def are_known() -> bool:
        async with resources.database.connection() as connection:
            return not await connection.fetchval(_MISSING, len(models), list(models), revision)

    await eventually(are_known, within=_COMES_WITHIN, every=0.1, what=f"{len(models)} models in revision {revision}")


async def all_done(resources: Resources) -> None:
    """Wait until every due slot of every model that is known is accounted for, and nothing is out."""

    async def is_idle() -> bool:
        async with resources.database.connection() as connection:
            return not await connection.fetchval(_LEFT)

    await eventually(is_idle, within=_COMES_WITHIN, every=0.1, what="nothing left to do")


@dataclass(frozen=True)
class ModelState:
    """State of one model in the public views."""

    state: str
    revision: str
    epoch: int
    since: datetime
    slot: timedelta
    covered: Coverage
    exceptions: Mapping[Window, tuple[str, str]]  #: state and reason of single slots
    parked: Mapping[str, Coverage]  #: by reason
    detail: str  #: of what is parked
    stored: tuple[Window, ...]  #: windows of tasks that ended well

    def accounted_for(self) -> Coverage:
        """All slots that have come to an end, whichever."""
        parked = [window for coverage in self.parked.values() for window in coverage]
        return self.covered | Coverage.of([*self.exceptions, *parked])


async def model_states(database: Database) -> Mapping[str, ModelState]:
    """Return the state of each model in the public views."""
    async with database.connection() as connection:
        models, coverage, exceptions, parked, tasks = [
            await connection.fetch(f"SELECT * FROM {view}")
            for view in ("v_models", "v_coverage", "v_exceptions", "v_parked", "v_tasks")
        ]
    covered = {row["model"]: _coverage(row["covered"]) for row in coverage}
    slots: dict[str, dict[Window, tuple[str, str]]] = defaultdict(dict)
    for row in exceptions:
        slots[row["model"]][_window(row["slot"])] = (row["state"], row["reason"])
    return {
        row["model"]: ModelState(
            state=row["state"],
            revision=row["revision"],
            epoch=row["epoch"],
            since=row["since"],
            slot=row["slot"],
            covered=covered[row["model"]],
            exceptions=slots[row["model"]],
            parked={p["reason"]: _coverage(p["windows"]) for p in parked if p["model"] == row["model"]},
            detail="; ".join(p["detail"] for p in parked if p["model"] == row["model"]),
            stored=tuple(
                sorted(
                    _window(task["window"])
                    for task in tasks
                    if task["model"] == row["model"] and task["state"] == "stored"
                )
            ),
        )
        for row in models
    }


#: All of time, for what is parked as a whole.
_ALWAYS = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


def _window(result: Any) -> Window:
    return Window(result.lower or _ALWAYS[0], result.upper or _ALWAYS[1])


def _coverage(result: Any) -> Coverage:
    return Coverage.of([_window(each) for each in result])


async def stored_in(database: Database, model: str, window: Window | None = None) -> Points:
    """What the view of the sink holds of a model."""
    bounds = (window.start, window.end) if window else _ALWAYS
    result: dict[Column, dict[int, float]] = defaultdict(dict)
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT column_group, tag, time, value FROM v_predictions WHERE model = $1 AND time >= $2 AND time < $3",
            model,
            *bounds,
        )
    for row in rows:
        result[Column(row["column_group"], row["tag"])][to_ns(row["time"])] = row["value"]
    return result
