"""The ledger on servers that change their roles, and in a database that is replaced."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from latigo.domain.errors import Unavailable
from latigo.postgres.servers import Servers
from latigo.sandbox.gordo.controls import PREDICTING, Hang
from latigo.wiring.ledger import connect_to
from tests.service.test_ledger_database import ledger_at
from tests.support.postgres import database_on, execute
from tests.support.process import latigo, serving
from tests.support.sandbox import Sandbox, open_sandbox
from tests.support.standby import Pair, ask, open_pair, url_of
from tests.support.waiting import eventually

MODELS = 3


async def become_read_only(pair: Pair) -> None:
    await pair.make_read_only()


async def die(pair: Pair) -> None:
    await pair.follows()
    pid = int((pair.home / "data" / "postmaster.pid").read_text().splitlines()[0])
    for process in (psutil.Process(pid), *psutil.Process(pid).children()):
        process.kill()


@pytest.mark.parametrize("fail", [become_read_only, die])
async def test_after_a_failover_it_goes_on_with_the_server_that_takes_writes(
    fail: Callable[[Pair], Awaitable[None]], tmp_path: Path, server_folder: Path
):
    async with open_pair(server_folder) as pair:
        standby = url_of(pair.standby)
        async with open_sandbox(standby, tmp_path, models=MODELS) as sandbox:
            held = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=2)
            config = sandbox.config(ledger={"kind": "postgres", "url": pair.url})
            async with serving(config) as service:
                await service.meets(held)
                await fail(pair)
                await service.logged("lease.not_renewed")
                _, unknown, said = await latigo("status", "--config", str(config), folder=tmp_path)
                _, checked, _ = await latigo("check", "--config", str(config), folder=tmp_path)
                await pair.promote()
                held.lift()
                until = await sandbox.whole(service)
                assert await service.stop() == 0
            await sandbox.ledger.assert_adds_up(MODELS, until)

    assert "unknown" in unknown
    assert "connected to a read-only server" in said
    assert "connected to a read-only server" in checked


async def test_tasks_whose_claims_a_server_that_took_over_lacks_are_done_all_the_same(sandbox: Sandbox):
    held = sandbox.gordo.controls.trouble(Hang(), PREDICTING)
    async with serving(sandbox.config()) as service:
        await service.meets(held)
        await execute(
            sandbox.ledger.url,
            "UPDATE task SET state = 'published', claim = claim - 1, claimed_by = NULL, lease_until = NULL, starts = 0"
            " WHERE state = 'claimed'",
        )
        await service.logged("claim.lost")
        held.lift()
        until = await sandbox.whole(service)
        assert await service.stop() == 0

    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def test_a_database_that_is_dropped_and_created_anew_is_migrated_and_all_is_planned_again(sandbox: Sandbox):
    admin, name = database_on(sandbox.ledger.url, "postgres"), sandbox.ledger.url.partition("@/")[2].partition("?")[0]
    async with serving(sandbox.config(models={"refresh": "1h"})) as service:
        await sandbox.whole(service)
        await execute(admin, f"DROP DATABASE {name} WITH (FORCE)")
        await execute(admin, f"CREATE DATABASE {name}")
        await service.logged("ledger.recreated")
        until = await sandbox.whole(service)
        assert await service.stop() == 0

    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    assert service.events("executor.failed") == []


async def test_a_table_that_is_missing_is_named_and_nothing_is_created(ledger_url: str):
    await execute(ledger_url, "ALTER TABLE planner RENAME TO elsewhere")
    async with connect_to(ledger_url, ledger_at(ledger_url)) as database:
        with pytest.raises(Unavailable, match="a table is missing") as raised:
            await database.fetch("SELECT * FROM planner")

    assert raised.value.alarm
    assert "a table is missing" in database.trouble


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("ALTER DATABASE {name} SET search_path = nowhere", "ALTER DATABASE {name} RESET search_path"),
        ("ALTER DATABASE {name} SET role = pg_monitor", "ALTER DATABASE {name} RESET role"),
    ],
    ids=["wrong search_path", "wrong role"],
)
async def test_sessions_of_the_wrong_kind_are_replaced(ledger_url: str, spoil: str, mend: str):
    name = ledger_url.partition("@/")[2].partition("?")[0]
    await execute(ledger_url, spoil.format(name=name))
    async with connect_to(ledger_url, ledger_at(ledger_url, pool_size=2)) as database:
        async with database.connection() as one, database.connection() as other:  # both are opened now
            assert one is not other
        await execute(database_on(ledger_url, "postgres"), mend.format(name=name))

        with pytest.raises(Unavailable) as raised:
            await database.fetch("SELECT * FROM planner")
        answers = [await database.fetch("SELECT term FROM planner") for _ in range(3)]

    assert raised.value.alarm
    assert [len(rows) for rows in answers] == [1, 1, 1]


async def test_a_server_that_is_silent_does_not_use_up_the_time_of_the_others(server_folder: Path):
    async with open_pair(server_folder) as pair:
        silent = psutil.Process(int((pair.home / "data" / "postmaster.pid").read_text().splitlines()[0]))
        await pair.promote()
        silent.suspend()
        try:
            servers = Servers(pair.url)
            first = await servers.connect(timeout=3)
            await first.close()
            silent_first = servers.urls
        finally:
            silent.resume()

    assert [url.rpartition(":")[2] for url in silent_first] == [
        f"{pair.standby}/postgres",
        f"{pair.primary}/postgres",
    ]


async def test_a_url_of_one_read_only_server_says_so(server_folder: Path):
    async with open_pair(server_folder) as pair:
        with pytest.raises(Unavailable, match="ledger: connected to a read-only server"):
            async with connect_to(url_of(pair.standby), ledger_at(url_of(pair.standby))):
                pass
        await pair.promote()
        await eventually(lambda: ask(pair.standby, "SELECT NOT pg_is_in_recovery()"), what="it takes writes")
        async with connect_to(url_of(pair.standby), ledger_at(url_of(pair.standby))) as database:
            assert await database.row("SELECT 1") is not None
