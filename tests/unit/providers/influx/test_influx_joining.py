"""Writes that share requests: one result each, whatever becomes of the others."""

import asyncio
from datetime import timedelta

import pytest

from latigo.domain.errors import Failed, Reason, Rejected, TimedOut, TooLarge, Unavailable
from latigo.providers.influx.joining import JoinedWrites
from latigo.providers.influx.line_protocol import MOST_LINES, Precision
from tests.support.waiting import eventually


class Server:
    """Takes requests; each bad line has a result of its own, which is that of the whole request."""

    def __init__(self, **results: BaseException | int) -> None:
        self.requests: list[list[str]] = []
        self.stored: set[str] = set()
        self.results = results
        self.hangs = False
        self.aborted = 0

    async def write(self, body: bytes, precision: Precision, database: str) -> int:
        lines = body.decode().split("\n")
        self.requests.append([database, precision, *lines])
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.aborted += 1
        dropped = 0
        for result in (self.results[line] for line in lines if line in self.results):
            if isinstance(result, BaseException):
                raise result
            dropped += result
        self.stored |= {*lines}
        return dropped


async def written(server: Server, *bodies: str) -> list[int | BaseException]:
    joined = JoinedWrites(server.write)
    return await asyncio.gather(*(joined.write(body.encode(), "s", "d") for body in bodies), return_exceptions=True)


async def test_what_is_written_at_the_same_time_shares_a_request() -> None:
    server = Server()

    assert await written(server, "a", "b", "c") == [0, 0, 0]

    assert server.requests == [["d", "s", "a", "b", "c"]]


async def test_units_and_databases_are_kept_apart() -> None:
    server = Server()
    joined = JoinedWrites(server.write)

    await asyncio.gather(joined.write(b"a", "s", "d"), joined.write(b"b", "ns", "d"), joined.write(b"c", "s", "e"))

    assert sorted(server.requests) == [["d", "ns", "b"], ["d", "s", "a"], ["e", "s", "c"]]


async def test_a_request_has_no_more_lines_than_a_body_may() -> None:
    server = Server()
    bodies = ["\n".join([name] * (MOST_LINES // 4)) for name in "abcdefghi"]

    assert await written(server, *bodies, "\n".join(["large"] * (MOST_LINES // 2 + 1))) == [0] * 10

    sizes = [len(request) - 2 for request in server.requests]
    assert sorted(sizes) == [MOST_LINES // 4, MOST_LINES // 2 + 1, MOST_LINES, MOST_LINES]


@pytest.mark.parametrize(
    "error",
    [
        Rejected("field type conflict", reason=Reason.WRITE_REFUSED),
        TooLarge("413"),
        Failed("500"),
        Unavailable("partial write: max-series-per-database limit exceeded", downstream="sink/influx", alarm=True),
        ZeroDivisionError(),
    ],
)
async def test_an_error_is_that_of_the_body_which_causes_it(error: Exception) -> None:
    server = Server(bad=error)

    assert await written(server, "a", "bad", "c") == [0, error, 0]

    assert server.stored == {"a", "c"}


@pytest.mark.parametrize(
    "error",
    [
        TimedOut("InfluxDB, writing: no answer within 30 s", downstream="sink/influx"),
        Unavailable("InfluxDB, writing: ClientOSError: [Errno 104]", downstream="sink/influx"),
        Unavailable("InfluxDB, writing: status 429", downstream="sink/influx", retry_after=timedelta(seconds=9)),
    ],
)
async def test_a_server_that_does_not_answer_or_asks_to_wait_is_not_asked_again_for_each(error: Exception) -> None:
    server = Server(bad=error)

    assert await written(server, "a", "bad") == [error, error]

    assert len(server.requests) == 1


async def test_points_that_are_too_old_are_counted_for_their_body_alone() -> None:
    server = Server(old=3)

    assert await written(server, "a", "old", "c") == [0, 3, 0]


async def test_nothing_of_a_cancelled_writer_is_sent_any_more_and_the_others_are_written() -> None:
    server = Server()
    server.hangs = True
    joined = JoinedWrites(server.write)
    first, second = (asyncio.create_task(joined.write(body, "s", "d")) for body in (b"a", b"b"))
    await eventually(lambda: bool(server.requests), what="a request")

    server.hangs = False
    first.cancel()
    third = asyncio.create_task(joined.write(b"c", "s", "d"))
    third.cancel()

    async with asyncio.timeout(10):
        assert await second == 0
    await asyncio.wait((first, third))
    assert first.cancelled()
    assert third.cancelled()
    assert server.aborted == 1
    assert server.requests == [["d", "s", "a", "b"], ["d", "s", "b"]]


async def test_what_is_written_during_two_requests_goes_into_the_next_one() -> None:
    server = Server()
    server.hangs = True
    joined = JoinedWrites(server.write)
    first = [asyncio.create_task(joined.write(b"a", "s", "d"))]
    await eventually(lambda: len(server.requests) == 1, what="a request")
    first.append(asyncio.create_task(joined.write(b"b", "s", "d")))
    await eventually(lambda: len(server.requests) == 2, what="another one")
    later = [asyncio.create_task(joined.write(body, "s", "d")) for body in (b"c", b"e")]
    await asyncio.sleep(0)
    server.hangs = False
    for task in first:
        task.cancel()

    assert await asyncio.gather(*later) == [0, 0]
    assert server.requests[2:] == [["d", "s", "c", "e"]]
