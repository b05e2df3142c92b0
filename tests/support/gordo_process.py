"""A real Gordo server in a process of its own, on the loopback address."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import aiohttp
import pytest_asyncio

from tests.support.ports import free_port
from tests.support.real_gordo import gordo_home, require_gordo
from tests.support.waiting import eventually

STARTS_WITHIN_S = 300.0  # 5 s on an idle machine
STOPS_WITHIN_S = 90.0


@asynccontextmanager
async def running_gordo(
    data: Path | None = None,
    workers: int = 1,
    *,
    revision: str | None = None,
    port: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[str]:
    """Serve the models of ``data``, by default those that were built for the tests; yield the server's URL.

    A folder of one's own is for tests that change what is on the disk. ``revision`` counts as the newest, by default
    the one that ``data`` says; ``port`` is for a server that comes in the place of another;
    ``environment`` has further variables, such as ``N_CACHED_MODELS``.
    """
    require_gordo()
    data = data or gordo_home() / "data"
    port = port or free_port()
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            str(gordo_home() / "venv" / "bin" / "gunicorn"),
            *("--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--worker-class", "gthread", "--threads", "8"),
            *("--log-level", "warning", "--chdir", str(data), "gordo.server.server:build_app()"),
            env={**os.environ, **_environment(data, revision), **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which then end the server
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await eventually(lambda: _answers(process, url, log.fileno()), within=STARTS_WITHIN_S, what="Gordo starts")
            yield url
        finally:
            await _end(process)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gordo_server() -> AsyncIterator[str]:
    """The URL of a real Gordo server with the models that were built for the tests; for reading only."""
    async with running_gordo() as url:
        yield url


def _environment(data: Path, revision: str | None) -> dict[str, str]:
    layout = json.loads((data / "layout.json").read_text())
    return {
        "PROJECT": layout["project"],
        "MODEL_COLLECTION_DIR": str(data / layout["project"] / "models" / (revision or layout["latest"])),
        "EXPECTED_MODELS": json.dumps(layout["expected_models"]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",  # its sums depend on the processor
        "CUDA_VISIBLE_DEVICES": "-1",
    }


async def _answers(process: asyncio.subprocess.Process, url: str, log: int) -> bool:
    if process.returncode is not None:
        raise AssertionError(f"Gordo ended with {process.returncode}: {os.pread(log, 10_000, 0).decode()}")
    try:
        async with aiohttp.request("GET", f"{url}/healthcheck", timeout=aiohttp.ClientTimeout(total=5)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOPS_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
