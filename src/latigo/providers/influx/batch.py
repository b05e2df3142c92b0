"""One statement for several names in one request: the only place that knows how a query can fail with status 200."""

from collections.abc import Sequence
from typing import NamedTuple

from latigo.domain.errors import TooLarge, Unavailable
from latigo.providers.influx.client import InfluxClient, Response
from latigo.providers.influx.errors import refused_statement
from latigo.providers.influx.query import Statement, joined
from latigo.providers.influx.responses import Result, UnreadableError, complete_results, decode
from latigo.runtime.documents import DocumentTooLarge


class BatchResult(NamedTuple):
    """Results of a batch of statements."""

    results: Sequence[Result]  #: complete results of the first statements, possibly of none
    cut_at: int | None  #: the response ended after so many rows without an error; None if it did not


class Batch:
    """Runs one statement for several names in one request.

    Args:
        client: of the server.
        last: a statement without results, put behind the others to see that they are all there; without one, each
            request is one statement.
        database: another one than the client's own.
    """

    def __init__(self, client: InfluxClient, last: str, database: str | None = None) -> None:
        self._client = client
        self._last = last
        self._database = database

    async def run(self, statement: Statement, names: Sequence[str], *, max_bytes: int) -> BatchResult:
        """Return the results of ``statement`` for each of ``names``, in their order, as far as they are complete.

        Has no time limit of its own, see `InfluxClient.query`.

        Raises:
            TooLarge: the response has more than ``max_bytes`` or too many values, or the server calls it too much.
            Unavailable, Failed: the server is unavailable, or cannot execute the first of the statements.
        """
        try:
            return await self._request(statement, names, self._last, max_bytes)
        except _NotExecutedError:
            # Of several statements, the one that failed is only "not executed": sent by itself, it gets a reason.
            result = await self._request(statement, names[:1], "", max_bytes)
            return result._replace(cut_at=None)

    async def _request(self, statement: Statement, names: Sequence[str], last: str, max_bytes: int) -> BatchResult:
        query = joined(statement, names, bind=self._client.switches.bind, then=last)

        def interpret(response: Response) -> BatchResult:
            return self._interpret(response, len(names), marked=bool(last))

        return await self._client.query(
            query.statements, interpret, params=query.params, max_bytes=max_bytes, database=self._database
        )

    def _interpret(self, response: Response, count: int, *, marked: bool) -> BatchResult:
        client = self._client
        try:
            results = decode(response.content_type, response.body)
            complete = complete_results(results, count, marked=marked)
        except UnreadableError as error:
            raise Unavailable(f"InfluxDB, reading: {error}", downstream=client.downstream) from error
        except DocumentTooLarge as error:
            raise TooLarge(f"InfluxDB, reading: {error}") from error
        if not complete and (reason := results[0].error):
            if marked:
                raise _NotExecutedError
            raise refused_statement(reason, downstream=client.downstream, section=client.section)
        ended_early = len(complete) < count and not results[-1].error
        return BatchResult(complete, sum(result.rows for result in results) if ended_early else None)


class _NotExecutedError(Exception):
    """The first of several statements failed for a reason that the server reports only for a single statement."""
