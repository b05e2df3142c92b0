"""The ledger for descriptions of models: which are to be posted, and which are."""

from collections.abc import Sequence
from datetime import timedelta

from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.ledger.model_protocol import UnpostedMetadata
from latigo.ledger.shared import kept
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.log import get_logger

SQL = load_statements("latigo.ledger", "sql/prediction_metadata.sql")

_log = get_logger(__name__)


class PostgresMetadataLedger:
    """`MetadataLedger` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, sink: str, model: ModelRef, revision: str, columns: Sequence[Column]) -> None:
        await self._database.execute(SQL["record"], *model, sink, revision, [list(column) for column in columns])

    async def take(self, sinks: Sequence[str], most: int, lease: timedelta) -> Sequence[UnpostedMetadata]:
        return [
            UnpostedMetadata(
                row["model_id"],
                row["sink"],
                ModelRef(row["project"], row["name"]),
                row["revision"],
                tuple(Column(*column) for column in row["columns"]),
                row["attempts"],
            )
            for row in await self._database.fetch(SQL["take"], list(sinks), lease, most)
        ]

    async def posted(self, one: UnpostedMetadata) -> None:
        await self._database.execute(SQL["posted"], one.model_id, one.sink, one.revision)

    async def failed(self, one: UnpostedMetadata, error: str, wait: timedelta) -> None:
        await self._database.execute(SQL["failed"], one.model_id, one.sink, one.revision, wait, kept(error))

    async def released(self, one: UnpostedMetadata) -> None:
        await self._database.execute(SQL["released"], one.model_id, one.sink, one.revision)

    async def dropped(self, one: UnpostedMetadata) -> None:
        await self._database.execute(SQL["dropped"], one.model_id, one.sink, one.revision)


class FirstWindows:
    """Records the first window of each model and revision that a sink has stored, for its description to be posted.

    Args:
        ledger: where it is recorded.
        sink: the downstream of the sink.
    """

    def __init__(self, ledger: PostgresMetadataLedger, sink: str) -> None:
        self._ledger = ledger
        self._sink = sink
        self._recorded: dict[ModelRef, str] = {}  #: revision by model

    async def stored(self, predictions: Predictions) -> None:
        """Record it, if it is the first that this process sees; a ledger that is unavailable records a later one."""
        if self._recorded.get(predictions.model) == predictions.revision:
            return
        try:
            await self._ledger.record(self._sink, predictions.model, predictions.revision, predictions.columns)
        except LatigoError as error:
            _log.warning("metadata.not_recorded", model=str(predictions.model), error=str(error))
            return
        self._recorded[predictions.model] = predictions.revision
