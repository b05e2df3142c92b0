"""Statements in, whole results out: the only place that knows how a query of InfluxDB can go wrong with status 200."""

from collections.abc import Sequence
from typing import NamedTuple

from latigo.domain.errors import LatigoError, Unavailable
from latigo.providers.influx.client import InfluxClient
from latigo.providers.influx.errors import refused_statement
from latigo.providers.influx.query import Statement, joined
from latigo.providers.influx.responses import Result, UnreadableError, decode, whole
from latigo.runtime.retry import short_outage


class Heard(NamedTuple):
    """What came of some statements."""

    results: Sequence[Result]  #: of the first few of them, whole; perhaps of none
    cut_at: int | None  #: the answer ended early after so many rows, without saying why; None: it did not


class Asker:
    """Asks the same of several names in one request.

    Args:
        client: of the server.
        last: a statement that gives nothing, put behind the others to see that they are all there; without one, each
            request is one statement.
        database: another one than the client's own.
    """

    def __init__(self, client: InfluxClient, last: str, database: str | None = None) -> None:
        self._client = client
        self._last = last
        self._database = database

    async def ask(self, statement: Statement, names: Sequence[str], *, max_bytes: int) -> Heard:
        """What ``statement`` gives for each of ``names``, in their order, as far as it is whole.

        What the server refuses for the moment (a query that took too long, too many at once) is asked again shortly.

        Raises:
            TooLarge: the answer has more than ``max_bytes``, or the server calls it too much.
            Unavailable, TimedOut, Failed: the server is away, or cannot execute the first of the statements.
        """
        try:
            return await short_outage(_passes)(self._once, statement, names, max_bytes)
        except _Refused as refused:
            raise refused.error from None

    async def _once(self, statement: Statement, names: Sequence[str], max_bytes: int) -> Heard:
        results = await self._request(statement, names, self._last, max_bytes)
        sure = whole(results, len(names), marked=bool(self._last))
        if sure or not results[0].error:
            ended_early = len(sure) < len(names) and not results[-1].error
            return Heard(sure, sum(result.rows for result in results) if ended_early else None)
        # Of several statements, the one that failed is only said to be "not executed": alone, it gets a reason.
        alone = await self._request(statement, names[:1], "", max_bytes) if self._last else results
        if error := alone[0].error:
            raise _Refused(refused_statement(error, downstream=self._client.downstream, section=self._client.section))
        return Heard(whole(alone, 1, marked=False), None)

    async def _request(self, statement: Statement, names: Sequence[str], last: str, max_bytes: int) -> Sequence[Result]:
        query = joined(statement, names, bind=self._client.switches.bind, then=last)
        answer = await self._client.read(
            query.statements, params=query.params, max_bytes=max_bytes, database=self._database
        )
        try:
            return decode(answer.content_type, answer.body)
        except UnreadableError as error:
            raise Unavailable(f"InfluxDB, reading: {error}", downstream=self._client.downstream) from error


class _Refused(Exception):
    """The server has answered, and refuses; the client has asked again already where it did not answer."""

    def __init__(self, error: LatigoError) -> None:
        super().__init__(str(error))
        self.error = error


def _passes(error: BaseException) -> bool:
    return isinstance(error, _Refused) and isinstance(error.error, Unavailable) and not error.error.alarm
