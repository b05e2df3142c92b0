"""The models: as the ledger knows them, and one of them together with what its server reports."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Protocol

from latigo.domain.model import ModelRef
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.providers.protocols import ModelStatus
from latigo.reports.base import Report
from latigo.reports.failures import Failure, read_failures

SQL = load_statements("latigo.reports", "models.sql")
MOST_MODELS = 100_000


class KnownModel(Report):
    """A model as the ledger knows it."""

    project: str
    model: str
    revision: str
    epoch: int
    state: str  #: active, paused, disabled, unregistered, gone or unusable
    since: datetime
    slot: timedelta
    delay: timedelta
    fold: timedelta
    anomaly: bool | None  #: answers on anomaly/prediction; None: not known yet
    resolution: str | None
    covered_until: datetime | None
    silent_since: datetime | None
    parked: bool
    not_finite_share: float | None  #: of the values in its newest prediction; None: there was none


class ModelDetails(Report):
    """One model, as server, roster and ledger report it."""

    model: str
    exists: bool  #: on the server
    registered: bool | None  #: None: never decided by hand
    revision: str
    problem: str  #: why it cannot be predicted
    tags: Sequence[str]
    spec: dict[str, Any] | None
    ledger: KnownModel | None
    failures: Sequence[Failure]


class ModelStatusSource(Protocol):
    """Reports the full status of one model; the part of `ModelExecutionProvider` that is needed here."""

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        """Return the full status of one model, registered or not, there or not."""


async def read_models(
    database: Database, project: str | None = None, model: str | None = None, *, most: int = MOST_MODELS
) -> Sequence[KnownModel]:
    """Return the models that the ledger knows; None matches all."""
    async with database.connection() as connection:
        return [KnownModel(**row) for row in await connection.fetch(SQL["models"], project, model, most)]


async def read_model_details(database: Database, server: ModelStatusSource, ref: ModelRef) -> ModelDetails:
    """Return everything about one model."""
    status = await server.get_model_status(ref)
    known = await read_models(database, ref.project, ref.name)
    spec = status.spec
    return ModelDetails(
        model=str(ref),
        exists=status.exists,
        registered=status.registered,
        revision=status.revision,
        problem=status.problem,
        tags=spec.dataset.tags if spec else (),
        spec={**asdict(spec), "ref": str(ref)} if spec else None,
        ledger=known[0] if known else None,
        failures=await read_failures(database, ref.project, ref.name),
    )
