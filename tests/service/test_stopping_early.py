"""A process that is asked to stop while it is still starting ends with 0, at once, and leaves nothing behind."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lacking import lacking
from tests.support.process import Service, serving, write_config


def handles_signals(service: Service, _home: Path) -> bool:
    """Whether it no longer dies of SIGTERM: from its first statement on."""
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def has_imported(library: str) -> Callable[[Service, Path], bool]:
    def holds(service: Service, _home: Path) -> bool:
        return library in Path(f"/proc/{service.process.pid}/maps").read_text(encoding="utf-8")

    return holds


def has_logged(event: str) -> Callable[[Service, Path], bool]:
    return lambda service, _home: bool(service.events(event))


def has(pattern: str) -> Callable[[Service, Path], bool]:
    return lambda _service, home: any(home.glob(pattern))


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(handles_signals, id="its first statement"),
        pytest.param(has_imported("pydantic_core"), id="while it imports"),
        pytest.param(has_imported("asyncpg"), id="later while it imports"),
        pytest.param(has_logged("http.started"), id="its first event"),
        pytest.param(has("guard"), id="its database is about to be created"),
        pytest.param(has("unfinished-*/PG_VERSION"), id="its database is being created"),
        pytest.param(has("data/latigo.conf"), id="its database is about to start"),
        pytest.param(has("data/postmaster.pid"), id="its database is starting"),
        pytest.param(has_logged("embedded.started"), id="its database has started"),
        pytest.param(has_logged("ledger.migrated"), id="its schema is new"),
    ],
)
async def test_it_ends_with_0(moment: Callable[[Service, Path], bool], tmp_path: Path, server_folder: Path):
    if not sys.platform.startswith("linux"):
        lacking("what a process is doing is read from /proc")
    config = write_config(
        tmp_path,
        ledger={"kind": "embedded", "data_dir": str(server_folder)},
        models={"url": "http://127.0.0.1:9"},
    )
    async with serving(config) as service:
        await service.until(lambda: moment(service, server_folder), what="the moment")

        code = await service.stop(within=30)

    assert code == 0
    assert "Traceback" not in service.log()
    assert not (server_folder / "data" / "postmaster.pid").exists()
