"""A process that is asked to stop while it is still starting ends with 0, at once, and leaves nothing behind."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lacking import lacking
from tests.support.process import Service, environment, serving, write_config

INTERRUPTED = 130


def handles(pid: int, asked: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
    return bool(caught >> (asked - 1) & 1)


def handles_signals(service: Service, _home: Path) -> bool:
    """Whether it no longer dies of SIGTERM: from its first statement on."""
    return handles(service.process.pid, signal.SIGTERM)


def has_imported(library: str) -> Callable[[Service, Path], bool]:
    def holds(service: Service, _home: Path) -> bool:
        return library in Path(f"/proc/{service.process.pid}/maps").read_text(encoding="utf-8")

    return holds


def has_logged(event: str) -> Callable[[Service, Path], bool]:
    return lambda service, _home: bool(service.events(event))


def has(*patterns: str) -> Callable[[Service, Path], bool]:
    return lambda _service, home: any(any(home.glob(pattern)) for pattern in patterns)


#: What only a process sees that imports Latigo itself.
FROM_THE_START = sys.executable


@pytest.mark.parametrize(
    ("moment", "python"),
    [
        pytest.param(handles_signals, FROM_THE_START, id="its first statement"),
        pytest.param(has_imported("pydantic_core"), FROM_THE_START, id="while it imports"),
        pytest.param(has_imported("asyncpg"), FROM_THE_START, id="later while it imports"),
        pytest.param(has_logged("http.started"), "", id="its first event"),
        pytest.param(has("guard"), "", id="its database is about to be created"),
        # On a busy machine that may be over before it is seen.
        pytest.param(has("unfinished-*/PG_VERSION", "data/PG_VERSION"), "", id="its database is being created"),
        pytest.param(has("data/latigo.conf"), "", id="its database is about to start"),
        pytest.param(has("data/postmaster.pid"), "", id="its database is starting"),
        pytest.param(has_logged("embedded.started"), "", id="its database has started"),
        pytest.param(has_logged("ledger.migrated"), "", id="its schema is new"),
    ],
)
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_it_ends_with_0(
    moment: Callable[[Service, Path], bool], python: str, asked: signal.Signals, tmp_path: Path, server_folder: Path
):
    if not sys.platform.startswith("linux"):
        lacking("what a process is doing is read from /proc")
    config = write_config(
        tmp_path,
        ledger={"kind": "embedded", "data_dir": str(server_folder)},
        models={"url": "http://127.0.0.1:9"},
    )
    async with serving(config, python=python) as service:
        await service.until(lambda: moment(service, server_folder), what="the moment")

        service.process.send_signal(asked)
        code = await service.ended()

    assert code == 0
    assert "Traceback" not in service.log()
    assert not (server_folder / "data" / "postmaster.pid").exists()


async def test_ctrl_c_ends_any_command_without_a_traceback_while_it_is_still_imported(tmp_path: Path):
    if not sys.platform.startswith("linux"):
        lacking("what a process is doing is read from /proc")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo", "status"),
        cwd=tmp_path,
        env=environment() | {"PYTHONVERBOSE": "1"},  # reports each import, and so when the first of Latigo's comes
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    lines = [await process.stderr.readuntil(b"import 'latigo.cli")]
    process.send_signal(signal.SIGINT)
    lines.append(await process.stderr.read())

    assert await process.wait() == INTERRUPTED
    assert b"Traceback" not in b"".join(lines)
