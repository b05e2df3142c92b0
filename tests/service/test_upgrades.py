"""Programs and schemas of different versions: which go together, which do not, and who changes what."""

import asyncio
from pathlib import Path

import pytest

from latigo.postgres.embedded import open_embedded
from latigo.postgres.migrate import migrate
from latigo.postgres.revisions import newest_revision
from latigo.postgres.schema import current_revision
from tests.support.build import CONNECT_TIMEOUT
from tests.support.outside import looking_at
from tests.support.postgres import execute
from tests.support.process import PROJECT, latigo, serving, write_config
from tests.support.sandbox import Sandbox

DONE, FAILED, CONFIGURATION = 0, 1, 78
#: All that a later version of the same thousand may do to the tables that we know.
ADD = """
DO $$ DECLARE known regclass; BEGIN
    FOR known IN
        SELECT oid FROM pg_class
        WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN of_a_later_version text NOT NULL DEFAULT ''later''', known);
    END LOOP;
END $$
"""
ASKING = (
    ("status",),
    ("plan",),
    ("failures",),
    ("retry", "--all"),
    ("models", "list"),
    ("models", "register", f"{PROJECT}/pump-001"),
    ("models", "accept-loss", PROJECT),
)


async def pretend(ledger_url: str, revision: str) -> None:
    """Let the schema look as if it were of another version."""
    await execute(ledger_url, f"UPDATE alembic_version SET version_num = '{revision}'")


async def test_a_program_goes_on_with_a_newer_schema_that_only_adds_to_its_own(sandbox: Sandbox):
    await execute(sandbox.ledger.url, ADD)
    await pretend(sandbox.ledger.url, "0999")

    config = sandbox.config()
    async with serving(config) as service:
        newer = await service.logged("ledger.schema_newer")
        until = await sandbox.whole(service)
        code, reported, errors = await latigo("models", "list", "--config", str(config), folder=sandbox.folder)
        stopped = await service.stop()

    assert (newer["revision"], newer["known"]) == ("0999", newest_revision())
    assert (code, stopped) == (DONE, DONE)
    assert "pump-001" in reported
    assert "ledger.schema_newer" in errors
    assert await current_revision(sandbox.ledger.url, connect_timeout=CONNECT_TIMEOUT) == "0999"
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def test_a_schema_that_is_too_new_is_refused_naming_both_versions(sandbox: Sandbox):
    await pretend(sandbox.ledger.url, "1001")

    config = str(sandbox.config())
    answers = await asyncio.gather(
        *(latigo(command, "--config", config, folder=sandbox.folder) for command in ("serve", "status", "migrate"))
    )

    for code, _, errors in answers:
        assert code == CONFIGURATION
        assert "Traceback" not in errors
        assert f"is 1001, of a newer Latigo, and this one knows it up to {newest_revision()}" in errors


async def test_a_migration_behind_a_newer_one_changes_nothing(ledger_url: str):
    await pretend(ledger_url, "0999")

    await migrate(ledger_url, connect_timeout=CONNECT_TIMEOUT)

    assert await current_revision(ledger_url, connect_timeout=CONNECT_TIMEOUT) == "0999"


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
async def test_commands_that_ask_change_no_schema_and_say_what_does(sandbox: Sandbox, command: tuple[str, ...]):
    await pretend(sandbox.ledger.url, "0003")

    code, _, errors = await latigo(*command, "--config", str(sandbox.config()), folder=sandbox.folder)

    assert code == FAILED
    assert "has schema 0003, which is older" in errors
    assert "`latigo migrate`" in errors
    assert "Traceback" not in errors
    assert await current_revision(sandbox.ledger.url, connect_timeout=CONNECT_TIMEOUT) == "0003"


async def test_a_database_without_a_schema_stays_empty_until_it_is_migrated(database_url: str, tmp_path: Path):
    config = str(write_config(tmp_path, ledger={"kind": "postgres", "url": database_url}))

    refused, _, errors = await latigo("plan", "--config", config, folder=tmp_path)
    async with looking_at(database_url) as ledger:
        tables = await ledger.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    migrated, _, _ = await latigo("migrate", "--config", config, folder=tmp_path)
    answered, reported, _ = await latigo("plan", "--config", config, folder=tmp_path)

    assert (refused, migrated, answered) == (FAILED, DONE, DONE)
    assert "has no schema yet" in errors
    assert tables == 0
    assert reported == "Nothing is missing\n"


async def test_an_embedded_ledger_is_migrated_by_the_process_that_opens_it(server_folder: Path, tmp_path: Path):
    config = write_config(tmp_path, ledger={"kind": "embedded", "data_dir": str(server_folder)})
    async with open_embedded(server_folder) as url:
        created = await current_revision(url, connect_timeout=CONNECT_TIMEOUT)

    code, reported, _ = await latigo("plan", "--config", str(config), folder=tmp_path)

    assert created is None
    assert (code, reported) == (DONE, "Nothing is missing\n")
