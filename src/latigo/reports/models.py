"""The models: as the ledger knows them, and one of them together with what its server reports."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from latigo.domain.circuits import System
from latigo.domain.errors import LatigoError, TimedOut
from latigo.domain.model import ModelRef, ModelSpec, ModelStatus
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.advice import with_tags
from latigo.reports.base import Listing, Names, Report, Row, escape_like, likes
from latigo.reports.choices import ModelOrder, ModelState
from latigo.reports.explain import read_explanation
from latigo.reports.failures import Failure, FailureFilter, read_failures
from latigo.reports.story import sentences
from latigo.runtime.collector import collector_paused

SQL = load_statements("latigo.reports", "models.sql")
MOST_MODELS = 100_000
_SHOWN = 100
ANSWER_LIMIT = timedelta(seconds=10)

T = TypeVar("T")


@dataclass(slots=True)
class KnownModel(Row):
    """A model as the ledger knows it; of one that is expected and not built, hardly anything is known."""

    project: str
    model: str
    revision: str
    epoch: int
    state: str  #: active, paused, disabled, unregistered, missing, retired, unusable or expected
    since: datetime  #: from when on it is to be predicted; an expected one: since when it is expected
    slot: timedelta | None
    delay: timedelta | None
    fold: timedelta | None
    anomaly: bool | None  #: answers on anomaly/prediction; None: not known yet
    resolution: str | None
    covered_until: datetime | None
    silent_since: datetime | None
    parked: bool
    not_finite_share: float | None  #: of the values in its newest prediction; None: there was none
    missing_since: datetime | None = None  #: when the server did not list it any more
    cause: str = ""  #: why it lacks predictions now, with the sensors that it is about; empty: nothing is known


class ModelDetails(Report):
    """One model, as server, roster and ledger report it.

    Where the server could not be asked, revision, tags and spec are those of the ledger.
    """

    model: str
    exists: bool | None  #: on the server; None: it could not be asked
    registered: bool | None  #: None: never decided by hand
    revision: str
    problem: str  #: why it cannot be predicted
    tags: Sequence[str]
    spec: dict[str, Any] | None
    ledger: KnownModel | None
    failures: Sequence[Failure]
    not_asked: str  #: why the server could not be asked; empty: it was
    failure_count: int  #: all of them


class Stretch(Report):
    """A stretch of time."""

    start: datetime
    end: datetime


class ModelInLedger(Report):
    """One model, as the ledger knows it."""

    project: str
    model: str
    known: KnownModel | None
    registered: bool | None  #: None: never decided by hand
    tags: Sequence[str]
    spec: dict[str, Any] | None
    story: Sequence[str]  #: of its newest due slot, in sentences
    newest_due: datetime | None  #: the beginning of that slot
    next_due: datetime | None  #: when the next one is due
    failures: Sequence[Failure]  #: the first hundred
    failure_count: int
    missing: Sequence[Stretch]  #: what could be planned now, the newest first; the first hundred
    missing_count: int


async def within_limit(work: Awaitable[T]) -> T:
    """Return what the model server answers, for a person who waits for it.

    Raises:
        TimedOut: it takes longer than `ANSWER_LIMIT`; the service waits for longer.
        LatigoError: what ``work`` raises.
    """
    try:
        async with asyncio.timeout(ANSWER_LIMIT.total_seconds()):
            return await work
    except TimeoutError:
        raise TimedOut(f"no answer within {ANSWER_LIMIT.total_seconds():g} s", downstream=System.MODELS) from None


class ModelStatusSource(Protocol):
    """Reports the full status of one model; the part of `ModelExecutionProvider` that is needed here."""

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        """Return the full status of one model, registered or not, there or not."""


async def read_models(
    database: Database,
    projects: Names = None,
    names: Names = None,
    *,
    state: ModelState | None = None,
    order: ModelOrder = "name",
    q: str = "",
    sensor: str | None = None,
    most: int = MOST_MODELS,
    skip: int = 0,
) -> Listing[KnownModel]:
    """Return the models that the ledger knows, ``most`` of them (0: all) after the first ``skip``.

    Args:
        database: the ledger's.
        projects: names or patterns with ``*``, of which one matches; None: of any.
        names: the same of models.
        state: that they are in; None: any.
        order: of the list.
        q: parts of ``project/model`` that it has, in any order and case.
        sensor: a tag that it reads; None: any.
        most: how many.
        skip: how many are left out before.
    """
    parts = [f"%{escape_like(part)}%" for part in q.split()]
    parameters = likes(projects), likes(names), state, order, most, parts, skip, sensor
    async with database.snapshot() as connection:
        await connection.execute(SQL["plan_for_parameters"])
        with collector_paused():
            rows = await connection.fetch(SQL["models"], *parameters)
            return Listing([_known(row) for row in rows], rows[0]["total"] if rows else skip)


def _known(row: Any) -> KnownModel:
    *columns, why, _total = row
    columns[6:9] = map(_duration, columns[6:9])  # slot, delay and fold
    columns.append(with_tags(why[0], why[1:]) if why else "")
    return KnownModel(*columns)


@lru_cache
def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


async def read_model_in_ledger(database: Database, ref: ModelRef, history: timedelta) -> ModelInLedger:
    """Return everything that the ledger knows about one model that it knows."""
    known = [each for each in await read_models(database, [ref.project], [ref.name]) if each.model == ref.name]
    status = await _of_ledger(database, ref)
    failures = await read_failures(database, FailureFilter(ref.project, ref.name), most=_SHOWN)
    holes = await database.fetch(SQL["holes"], *ref, _SHOWN)
    row = await database.row(SQL["newest_due"], *ref)
    story: list[str] = []
    if row is not None:
        story = sentences(await read_explanation(database, ref, row["newest"], history))
    return ModelInLedger(
        project=ref.project,
        model=ref.name,
        known=known[0] if known else None,
        registered=status.registered,
        tags=status.spec.dataset.tags if status.spec else (),
        spec=_in_full(status.spec) if status.spec else None,
        story=story,
        newest_due=row["newest"] if row else None,
        next_due=row["next_due"] if row else None,
        failures=failures,
        failure_count=failures.total,
        missing=[Stretch(start=row["start"], end=row["end"]) for row in holes],
        missing_count=holes[0]["total"] if holes else 0,
    )


async def read_model_details(database: Database, server: ModelStatusSource, ref: ModelRef) -> ModelDetails:
    """Return everything about one model, whether or not the server can be asked."""
    known = await read_models(database, [ref.project], [ref.name])
    not_asked = ""
    try:
        status = await within_limit(server.get_model_status(ref))
    except LatigoError as error:
        status, not_asked = await _of_ledger(database, ref), str(error)
    spec = status.spec
    failures = await read_failures(database, FailureFilter(ref.project, ref.name))
    return ModelDetails(
        model=str(ref),
        exists=None if not_asked else status.exists,
        registered=status.registered,
        revision=status.revision,
        problem=status.problem,
        tags=spec.dataset.tags if spec else (),
        spec=_in_full(spec) if spec else None,
        ledger=known[0] if known else None,
        failures=failures,
        not_asked=not_asked,
        failure_count=failures.total,
    )


async def read_tags(database: Database, ref: ModelRef) -> Sequence[str]:
    """Return the tags of a model in its newest usable revision, each once; none while it is unusable."""
    row = await database.row(SQL["spec"], *ref)
    if row is None or row["spec"] is None:
        return ()
    return ModelSpec.from_json(ref, row["revision"], row["anomaly"], row["spec"]).dataset.tags


def _in_full(spec: ModelSpec) -> dict[str, Any]:
    """Return all that the ledger keeps of a spec."""
    fields = {**asdict(spec), "ref": str(spec.ref)}
    del fields["trained"], fields["dataset"]["tags"]  # worked out of the others
    return fields


async def _of_ledger(database: Database, ref: ModelRef) -> ModelStatus:
    """Return what the ledger knows of what a server reports."""
    async with database.connection() as connection:
        row = await connection.fetchrow(SQL["spec"], *ref)
        registered = await connection.fetchval(SQL["registered"], *ref)
    spec = None
    if row is not None and row["spec"] is not None:
        spec = ModelSpec.from_json(ref, row["revision"], row["anomaly"], row["spec"])
    revision = row["revision"] if row is not None else ""
    return ModelStatus(ref, revision, exists=False, registered=registered, spec=spec, metadata={})
