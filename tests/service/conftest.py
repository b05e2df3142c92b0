"""A small plant for tests that run all of Latigo: the sandbox's Gordo in the test's loop, and a ledger of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.in_memory import folder_in_memory
from tests.support.sandbox import Sandbox, open_sandbox


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """For a database server of the test's own; a folder under ``tmp_path`` may be closed to the server's account."""
    with folder_in_memory("latigo-pg-") as folder:
        folder.chmod(0o711)  # the server's account has to pass where we are root
        yield folder


@pytest.fixture
async def sandbox(ledger_url: str, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Three models."""
    async with open_sandbox(ledger_url, tmp_path, models=3) as opened:
        yield opened
