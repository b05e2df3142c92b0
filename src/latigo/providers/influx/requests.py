"""Statements for sensors, as many in one request as fit, and what the server's limits leave of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from latigo.domain.errors import Unavailable
from latigo.providers.influx.batch import Batch, BatchResult
from latigo.providers.influx.chunks import Pace
from latigo.providers.influx.client import InfluxClient
from latigo.providers.influx.query import Layout, Statement, can_be_queried
from latigo.providers.influx.responses import Result, UnreadableError, column_of
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop

_log = get_logger(__name__)

#: Readings in one request, about 2 MB: decoding more at once would hold up the event loop.
_READINGS: Final[Mapping[str, int]] = {"msgpack": 100_000, "json": 25_000}
_WIDE_READINGS: Final = 25_000  #: those that are read one by one
#: Readings of one series that are known to be complete without another statement after it.
_SURELY_WHOLE: Final = 10_000
_STATEMENTS: Final = 250  #: in one request
_NAMES: Final = 25_000  #: rows of an index in one response
MANY_NAMES: Final = 5_000  #: of which reading takes several milliseconds
_INDEX_BYTES: Final = 6 << 20  #: of a response with names


class Requests:
    """Runs statements for sensors; keeps to the limits that the server turns out to have.

    Args:
        client: of the database.
        layout: where the readings are in it.
    """

    def __init__(self, client: InfluxClient, layout: Layout) -> None:
        self.client = client
        many, readings = client.switches.statements_per_request == "many", _READINGS[client.switches.format]
        self._batch = Batch(client, layout.nothing() if many else "")
        most, statements = (readings, _STATEMENTS) if many else (min(readings, _SURELY_WHOLE), 1)
        self._pace = Pace(most, statements)
        self._wide_pace = Pace(min(most, _WIDE_READINGS), statements)

    def pace(self, *, wide: bool = False) -> Pace:
        """Return the pace of reads; ``wide`` are rows that hold more than a number."""
        return self._wide_pace if wide else self._pace

    async def run(self, statement: Statement, names: Sequence[str], *, max_bytes: int) -> Sequence[Result]:
        """Return the complete results, see `Batch.run`; a limit of the server that shows is respected from now on."""
        batch = await self._batch.run(statement, names, max_bytes=max_bytes)
        self._respect(batch)
        return batch.results

    async def each(self, statement: Statement, names: Sequence[str]) -> Sequence[tuple[str, Result]]:
        """Return the result for each name of a statement with few rows."""
        results_by_name: list[tuple[str, Result]] = []
        while left := names[len(results_by_name) :]:
            requested = left[: self._pace.statements]
            results = await self.run(statement, requested, max_bytes=_INDEX_BYTES)
            if not results:
                raise self.cut_short(repr(requested[0]))
            results_by_name += zip(requested, results, strict=False)
        return results_by_name

    async def once(self, statement: str) -> Result:
        """Return the result of a statement with few rows."""
        ((_, result),) = await self.each(lambda _: statement, [""])
        return result

    async def pages(
        self, statement: Callable[[int, int], str], columns: Sequence[str], what: str
    ) -> Sequence[Sequence[str]]:
        """Return columns of an index, page by page: one page unless it is very long, or the server limits rows.

        Args:
            statement: shows at most so many rows, after so many others.
            columns: of text.
            what: is shown, for messages.
        """
        found: list[list[str]] = [[] for _ in columns]
        skip, most = 0, _NAMES
        while True:
            batch = await self._batch.run(lambda _: statement(most, skip), [""], max_bytes=_INDEX_BYTES)  # noqa: B023 - called before the next page
            if batch.results:
                result = batch.results[0]
                read = await off_loop(result.rows, MANY_NAMES, lambda: [self.column(result, each) for each in columns])  # noqa: B023 - called at once
                for all_texts, texts in zip(found, read, strict=True):
                    all_texts.extend(texts)
                if result.rows < most:
                    return found
                skip += most
            elif batch.cut_at is None or batch.cut_at < 2:
                raise self.cut_short(what)
            else:
                most = batch.cut_at - 1

    def column(self, result: Result, column: str) -> Sequence[str]:
        """Return one column of text."""
        with self.readable():
            return column_of(result, column)

    def can_be_queried(self, name: str) -> bool:
        """Return True if a sensor of this name can be queried."""
        return can_be_queried(name, bind=self.client.switches.bind)

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Translate errors in reading a result."""
        try:
            yield
        except UnreadableError as error:
            raise Unavailable(f"InfluxDB, reading: {error}", downstream=self.client.downstream) from error

    def cut_short(self, what: str) -> Unavailable:
        """Return the alarm of a server that leaves rows out of every response."""
        return Unavailable(
            f"InfluxDB cuts its responses, however small the request: {what}"
            f" (raise [http] max-row-limit on the server, 0 for no limit; now about {self._pace.readings})",
            downstream=self.client.downstream,
            alarm=True,
        )

    def _respect(self, batch: BatchResult) -> None:
        if batch.cut_at is None:
            return
        limits = [pace.limit(batch.cut_at - 1) for pace in (self._pace, self._wide_pace)]
        if any(limits):
            _log.warning("response.cut", downstream=self.client.downstream, count=batch.cut_at)
