"""What Latigo is, the systems that it uses, and its settings, over HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from latigo import __version__
from latigo.actions.limits import set_limits
from latigo.domain.limits import Limits
from latigo.ledger.protocol import ExecutorInfo
from latigo.postgres.revisions import newest_revision
from latigo.runtime.redaction import MASK
from latigo.settings import load_settings
from latigo.web.api.context import Context
from tests.support.api import ask
from tests.support.build import NOW, an_entry
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers
from tests.support.web import serving_api

CONFIG = """\
[models]
projects = ["plant"]
url = "http://gordo"

[http.tokens]
anna = { token = "secret-password", may = "act" }

[[sensors]]
kind = "simulated"
name = "near"
tags = ["A*"]
[[sensors]]
kind = "simulated"
name = "far"

[[predictions]]
kind = "postgres"

[[override]]
match = "plant/pump*"
delay = "10m"
"""


@pytest.fixture
async def client(ledgers: Ledgers, tmp_path: Path) -> AsyncIterator[ClientSession]:
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump-1"), an_entry("pump-2"), an_entry("fan")])
    for number, version in enumerate(("1.0", "1.0", "2.0")):
        await ledgers.executor.register(ExecutorInfo(f"executor-{number}", version, 1, 1, 8))
    file = tmp_path / "latigo.toml"
    file.write_text(CONFIG)
    settings = load_settings(file, {"LATIGO_BACKFILL__HORIZON": "3d"})
    context = Context(ledgers.database, settings, ManualClock(NOW))
    async with serving_api(context) as server, ClientSession(server.url) as session:
        yield session


async def test_what_is_used_is_listed_with_its_circuit(client: ClientSession, ledgers: Ledgers):
    await ledgers.fetch(
        "INSERT INTO circuit (downstream, reason, alarm, opened_at, pause, probe_at)"
        " VALUES ('sensors/far', 'no response', false, $1, '1 minute', $2)",
        *(NOW - timedelta(minutes=5), NOW + timedelta(minutes=1)),
    )

    about = await ask(client, "/about")

    assert (about["version"], about["ledger_revision"]) == (__version__, newest_revision())
    assert about["ledger_server"].startswith("PostgreSQL 1")
    assert about["executors"] == [{"version": "1.0", "executors": 2}, {"version": "2.0", "executors": 1}]
    systems = {(each["part"], each["name"]): each for each in about["systems"]}
    assert list(systems) == [
        ("ledger", "ledger"),
        ("task_queue", "task queue"),
        ("models", "plant"),
        ("sensors", "near"),
        ("sensors", "far"),
        ("predictions", "postgres"),
    ]
    assert [key for key, each in systems.items() if each["unavailable"]] == [("sensors", "far")]
    assert systems["sensors", "far"]["unavailable"]["reason"] == "no response"
    assert (systems["sensors", "near"]["note"], systems["sensors", "far"]["note"]) == ("A*", "all other tags")


async def settings_of(client: ClientSession) -> dict[str, Any]:
    return {each["key"]: each for each in (await ask(client, "/settings"))["settings"]}


async def test_settings_say_where_they_come_from_and_show_no_secret(client: ClientSession, tmp_path: Path):
    found = await settings_of(client)

    projects, horizon, port = (found[key] for key in ("models.projects", "backfill.horizon", "http.port"))
    assert (projects["source"], projects["where"]) == ("file", f"{tmp_path}/latigo.toml:2")
    assert (horizon["source"], horizon["where"], horizon["value"]) == ("environment", "LATIGO_BACKFILL__HORIZON", "3d")
    assert (port["source"], port["where"], port["changed"]) == ("default", "", False)
    assert "secret-password" not in str(found)
    assert found["http.tokens.anna.token"]["value"] == MASK
    changed = [each["changed"] for each in found.values()]
    assert changed == sorted(changed, reverse=True)


async def test_a_limit_that_was_set_at_run_time_stands_with_its_key_and_comes_first(
    client: ClientSession, ledgers: Ledgers
):
    await set_limits(ledgers.database, "anna", Limits(3, None, None, backfill_paused=False), "a test")

    found = await settings_of(client)

    live = found["executor.concurrency"]["live"]
    assert (live["now"], live["changed_by"], live["reason"]) == (3, "anna", "a test")
    assert found["backfill.min_share"]["live"]["changed_at"] is None
    assert found["http.port"]["live"] is None
    keys = list(found)
    assert keys.index("executor.concurrency") < keys.index("http.port")


async def test_overrides_count_the_models_that_they_match(client: ClientSession):
    assert (await ask(client, "/settings"))["overrides"] == [
        {"match": "plant/pump*", "models": 2, "changes": {"delay": "10m"}}
    ]
