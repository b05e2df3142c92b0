"""Errors that are not awaited, and what the driver reports by itself, are one line of the log."""

import asyncio
import gc
import io
import logging

import asyncpg
import pytest

from latigo.runtime.event_loop import run_async
from latigo.runtime.log import configure_logging


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("console", "info", stream=stream)
    return stream


async def _abandon(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    task = asyncio.create_task(fail())
    await asyncio.wait((task,))
    del task
    gc.collect()


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError("by peer"), asyncpg.InterfaceError("is closed"), asyncpg.AdminShutdownError("terminated")],
    ids=lambda error: type(error).__name__,
)
def test_an_outage_that_nobody_waits_for_is_one_line(lines: io.StringIO, error: Exception) -> None:
    run_async(lambda: _abandon(error))

    (line,) = lines.getvalue().splitlines()
    assert "loop.error_ignored" in line
    assert f"{type(error).__name__}: {error}" in line


def test_a_bug_that_nobody_waits_for_keeps_its_traceback(lines: io.StringIO) -> None:
    run_async(lambda: _abandon(LookupError("mine")))

    assert "loop.crashed" in lines.getvalue()
    assert "Traceback" in lines.getvalue()


def test_no_text_is_made_of_a_result() -> None:
    texts = []

    class Result:  # it may be a list of 100 000 models
        def __repr__(self) -> str:
            texts.append("a text")
            return "a text"

    async def result() -> Result:
        return Result()

    assert isinstance(run_async(result), Result)
    assert texts == []


def test_an_outage_that_a_library_logs_is_one_line(lines: io.StringIO) -> None:
    logging.getLogger("asyncpg.pool").warning(
        "Failed to restore the pool", exc_info=ConnectionRefusedError("nobody there")
    )

    (line,) = lines.getvalue().splitlines()
    assert "ConnectionRefusedError: nobody there" in line
