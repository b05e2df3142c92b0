"""A primary and its streaming standby, on ports of the loopback address."""

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from latigo.postgres.account import unprivileged_account
from latigo.postgres.embedded import EmbeddedServer
from latigo.postgres.programs import find_programs
from tests.support.ports import free_port
from tests.support.postgres import FAST, execute
from tests.support.waiting import eventually

_STATE = "SELECT state FROM pg_stat_replication"


@dataclass(frozen=True)
class Pair:
    """Two servers, by their ports."""

    primary: int
    standby: int
    home: Path  #: of the primary

    @property
    def url(self) -> str:
        """The URL that names both."""
        return f"postgresql://postgres@127.0.0.1:{self.primary},127.0.0.1:{self.standby}/postgres"

    async def make_read_only(self) -> None:
        """Let the primary take no more writes, for ever, and wait until the standby has all of them."""
        await execute(url_of(self.primary), "ALTER SYSTEM SET default_transaction_read_only = on")
        await execute(url_of(self.primary), "SELECT pg_reload_conf()")
        await eventually(lambda: _value(self.primary, "SHOW default_transaction_read_only", "on"), what="it is so")
        await self.follows()

    async def follows(self) -> None:
        """Wait until the standby has all that is written now."""
        written = await ask(self.primary, "SELECT pg_current_wal_lsn()::text")
        await eventually(
            lambda: _value(self.standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'", True),
            what="it follows",
        )

    async def promote(self) -> None:
        """Let the standby take writes."""
        assert await ask(self.standby, "SELECT pg_promote()") is True


@asynccontextmanager
async def open_pair(folder: Path) -> AsyncIterator[Pair]:
    """Run both servers."""
    ports = free_port(), free_port()
    first, second = (folder / name for name in ("first", "second"))
    servers = [EmbeddedServer(home, _settings(port)) for home, port in zip((first, second), ports, strict=True)]
    servers[0].open()
    try:
        _copy(ports[0], second)
        servers[1].open()
        try:
            await eventually(
                lambda: _value(ports[0], _STATE, "streaming"),
                what="it follows",
            )
            yield Pair(*ports, first)
        finally:
            servers[1].close()
    finally:
        servers[0].close()


def url_of(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


async def ask(port: int, sql: str) -> object:
    """The answer of the server on this port, whichever it is."""
    connection = await asyncpg.connect(url_of(port))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def _value(port: int, sql: str, wanted: object) -> bool:
    return await ask(port, sql) == wanted


def _settings(port: int) -> dict[str, str]:
    return {**FAST, "listen_addresses": "127.0.0.1", "port": str(port)}


def _copy(port: int, home: Path) -> None:
    """Copy a running server as its standby."""
    home.mkdir(mode=0o700)
    account = unprivileged_account()
    if account is not None:
        os.chown(home, account.uid, account.gid)
    subprocess.run(
        [
            *(find_programs() / "pg_basebackup", "--pgdata", home / "data", "--write-recovery-conf"),
            *("--checkpoint=fast", "--host=127.0.0.1", f"--port={port}", "--username=postgres"),
        ],
        check=True,
        cwd=home,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else (),
    )
