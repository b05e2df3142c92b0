"""Commands with ``--url``: the same answers as from the ledger, and actions under the name of the token."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from latigo.cli import asking
from latigo.settings import load_settings
from latigo.settings.reference import to_toml
from tests.support.commands import command
from tests.support.ledgers import Ledgers, open_ledgers
from tests.support.ports import free_port
from tests.support.postgres import fresh_database
from tests.support.slots import slots
from tests.support.web import OPERATOR, READER, context_of, fill_ledger, serving_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE, FAILED, USAGE, UNHEALTHY = 0, 1, 2, 3
MODELS = 200


@dataclass
class Both:
    """A ledger, and a service on it."""

    ledgers: Ledgers
    config: Path
    url: str
    folder: Path

    async def here(self, *arguments: str) -> tuple[int, str, str]:
        return await command(*arguments, "--config", str(self.config))

    async def there(self, *arguments: str, token: str = OPERATOR) -> tuple[int, str, str]:
        file = self.folder / "token"
        file.write_text(f"{token}\n")
        return await command(*arguments, "--url", self.url, "--token-file", str(file))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(
    postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Both]:
    """A ledger after a month, at a time that does not go on, and a service that answers from it."""
    folder = tmp_path_factory.mktemp("both")
    async with fresh_database(postgres_server, template=ledger_template) as url, open_ledgers(url) as ledgers:
        await fill_ledger(ledgers.database, MODELS)
        await ledgers.fetch(
            "INSERT INTO executor (id, version, envelope_low, envelope_high, concurrency, started_at, seen_at)"
            " VALUES ('worker-1', 'test', 1, 2, 8, now(), now())"
        )
        await ledgers.fetch(
            "INSERT INTO circuit (downstream, reason, opened_at, pause, probe_at)"
            " VALUES ('gordo/plant-3', '503', now(), '1 minute', now())"
        )
        await ledgers.set_clock(datetime.now(UTC))
        config = folder / "latigo.toml"
        config.write_text(to_toml({"ledger": {"kind": "postgres", "url": url}, "log": {"format": "json"}}))
        settings = load_settings(config, {})
        async with serving_api(context_of(ledgers.database, settings)) as server:
            yield Both(ledgers, config, server.url, folder)


ASKED = [
    "status",
    "models list",
    "models list --project plant-3 --state parked --sort behind --limit 3",
    "models list --project nowhere",
    "failures",
    "failures --by sensor --limit 5",
    "failures --project plant-7 --reason attempts --sort newest",
    "failures --sensor nothing",
    "failures --model plant-1/model-1 --dismissed",
    "failures dismiss --reason attempts --note known --dry-run",
    "retry --all --dry-run",
    "retry --project plant-7 --expect nonsense",
    "plan --limit 20 --sort slots",
    "plan --model plant-1/model-1",
    "plan --from 2020-01-01 --to 2020-01-02",
    "plan --cost",
    "plan --cost --within 12h",
    "plan --cost --within soon",
    "limits",
    "tasks --limit 3",
    "tasks --model model-9",
    "executors",
    "executors drain nobody --reason why",
    "circuits",
    "circuits probe gordo/plant-4",
    "queue",
    "backfills",
    "backfills show 99",
    "backfill plant-1 plant-2/model-1* --from 2026-01-01 --to 2026-01-03 --dry-run",
    "backfill nothing --from 2026-01-01 --to 2026-01-03",
    "backfill --sink influx --dry-run",
    "anomalies --project plant-3 --from 2026-01-01 --to 2026-01-02",
    "anomalies --project nowhere",
    "explain plant-7/model-7 --at -1h",
    "explain plant-7/model-8 --at -1h",
    "models accept-loss plant-1",
    "resume plant-1",
    "tasks hand-back plant-1 --reason hangs --dry-run",
]
#: Of when it was asked.
TIMES = {"at", "now"}


def timeless(answer: Any) -> Any:
    """Return an answer without the times at which it was made, or that were relative to it."""
    if isinstance(answer, dict):
        return {key: timeless(item) for key, item in answer.items() if key not in TIMES}
    return [timeless(item) for item in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize("asked", ASKED)
async def test_a_command_answers_the_same_over_http(both: Both, asked: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asking, "LARGEST_PAGE", 30)  # so that lists have several pages
    in_json = [] if "accept-loss" in asked else ["--json"]

    while True:
        before = slots()
        here, there = await both.here(*asked.split(), *in_json), await both.there(*asked.split(), *in_json)
        if slots() == before:
            break  # else a slot has ended between the two

    assert here[0] == there[0], (here, there)
    assert here[1], here
    if in_json:
        assert timeless(json.loads(here[1])) == timeless(json.loads(there[1]))
    else:
        assert here[1] == there[1]


async def test_text_for_people_is_the_same_as_well(both: Both):
    for asked in ("models list --limit 3", "failures --limit 3", "circuits"):
        assert await both.here(*asked.split()) == await both.there(*asked.split())


async def test_who_acts_over_http_is_the_token(both: Both):
    code, text, _ = await both.there("pause", "plant-2", "--reason", "turnaround")
    assert (code, text) == (DONE, "Paused plant-2: 20 models\nlatigo resume plant-2 resumes it\n")
    assert await both.there("resume", "plant-2", "--json") == (
        DONE,
        '{\n  "project": "plant-2",\n  "model": null,\n  "models": 20\n}\n',
        "",
    )

    rows = await both.ledgers.fetch("SELECT kind, who, selector ->> 'reason' AS why FROM request ORDER BY id")
    assert rows[-2:] == [
        {"kind": "pause", "who": "anna", "why": "turnaround"},
        {"kind": "resume", "who": "anna", "why": ""},
    ]


async def test_a_request_for_time_is_made_watched_and_ended_over_http(both: Both):
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    window = ("--replace", "--from", begin.isoformat(), "--to", (begin + timedelta(hours=6)).isoformat())
    _, preview, _ = await both.there("backfill", "plant-1/model-1", *window, "--dry-run", "--json")
    digest = json.loads(preview)["digest"]
    refused, _, why = await both.there("backfill", "plant-1/model-11", *window, "--expect", digest)
    made, text, _ = await both.there("backfill", "plant-1/model-1", *window, "--expect", digest, "--json")
    number = json.loads(text)["id"]
    paused, _, _ = await both.there("backfills", "pause", str(number), "--reason", "later")
    again, _, error = await both.there("backfills", "pause", str(number))
    cancelled, _, _ = await both.there("backfills", "cancel", str(number))
    _, shown, _ = await both.there("backfills", "show", str(number), "--json")

    assert (refused, made, paused, again, cancelled) == (USAGE, DONE, DONE, FAILED, DONE)
    assert "the selection has changed" in why
    assert f"request {number} is paused" in error
    assert {key: json.loads(shown)[key] for key in ("state", "who", "note")} == {
        "state": "cancelled",
        "who": "anna",
        "note": "by anna",
    }


@pytest.mark.parametrize(
    ("token", "says"),
    [("", "--token-file, LATIGO_TOKEN"), ("wrong", "not one of http.tokens"), (READER, "may read only")],
)
async def test_acting_without_a_token_that_may_is_1(both: Both, token: str, says: str):
    code, _, error = await both.there("pause", "plant-2", "--reason", "x", token=token)

    assert code == FAILED
    assert says in error
    assert await both.ledgers.fetch("SELECT * FROM pause") == []


async def test_the_variables_do_what_the_options_do(both: Both, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATIGO_URL", both.url)
    monkeypatch.setenv("LATIGO_TOKEN", OPERATOR)

    assert (await command("circuits", "probe", "gordo/plant-3", "--reason", "back"))[0] == DONE
    monkeypatch.delenv("LATIGO_TOKEN")
    monkeypatch.setenv("LATIGO_TOKEN_FILE", str(both.folder / "missing"))
    code, _, error = await command("circuits")
    assert (code, "LATIGO_TOKEN_FILE" in error, "cannot be read" in error) == (USAGE, True, True)


async def test_a_service_that_is_not_there_is_1_and_a_status_of_it_unknown():
    url = f"http://127.0.0.1:{free_port()}"

    code, text, error = await command("status", "--url", url)

    assert code == FAILED
    assert text.endswith(", unknown\n")
    assert url in error


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://x", "http://", "http://a:b@c", "http://c/?x=1", "http://c:99999", "http://[1"]
)
async def test_what_is_no_url_is_2(url: str):
    code, _, error = await command("status", "--url", url)

    assert (code, "--url" in error) == (USAGE, True)


async def test_what_is_no_service_of_latigo_is_said_so(both: Both):
    code, _, error = await command("circuits", "--url", f"{both.url}nowhere")

    assert code == USAGE, error  # 404 with a problem
