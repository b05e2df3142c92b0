"""Secrets in files that are replaced under a running process: it uses the new ones, and goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, web
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from latigo.runtime.clock import SystemClock
from latigo.settings import EventHubQueue
from latigo.task_queue.eventhub.connection import open_hub
from tests.support.postgres import execute
from tests.support.process import serving
from tests.support.sandbox import Sandbox

_numbers = count(1)
_USERS = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'changing%'"
_HOP_BY_HOP = frozenset({"content-length", "transfer-encoding", "connection", "date", "server"})


class Guard:
    """Passes on requests that have the token of the day."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.url = ""
        self.token = "token-of-the-first-day"
        self.passed: dict[str, int] = {}
        self.refused = 0

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            return web.json_response({"message": "Unauthorized"}, status=401)
        self.passed[self.token] = self.passed.get(self.token, 0) + 1
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in {"host", "content-length"}
        }
        try:
            async with (
                ClientSession(auto_decompress=False) as session,
                session.request(
                    request.method, f"{self._server}{request.rel_url}", headers=headers, data=await request.read()
                ) as answer,
            ):
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except ClientError as error:
            return web.Response(status=502, text=str(error))


@asynccontextmanager
async def guarding(server: str) -> AsyncIterator[Guard]:
    guard = Guard(server)
    app = web.Application(client_max_size=1 << 28)
    app.router.add_route("*", "/{anything:.*}", guard.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    guard.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield guard
    finally:
        await runner.cleanup()


@asynccontextmanager
async def two_users(url: str) -> AsyncIterator[tuple[str, str]]:
    """The URL of a database as two users of the test's own."""
    names = [f"changing_{next(_numbers)}" for _ in range(2)]
    for name in names:
        await execute(url, f"CREATE ROLE {name} SUPERUSER LOGIN")
    parts = urlsplit(url)
    try:
        first, second = (parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl() for name in names)
        yield first, second
    finally:
        with suppress(Exception):
            await execute(url, f"REASSIGN OWNED BY {', '.join(names)} TO CURRENT_USER")
            await execute(url, f"DROP OWNED BY {', '.join(names)}")
        for name in names:
            await execute(url, f"DROP ROLE {name}")


async def test_a_process_goes_on_with_the_secrets_that_its_files_have_now(sandbox: Sandbox):
    token, ledger = sandbox.folder / "gordo-token", sandbox.folder / "ledger-url"
    async with guarding(sandbox.gordo.url) as guard, two_users(sandbox.ledger.url) as (first, second):
        token.write_text(guard.token, encoding="utf-8")
        ledger.write_text(first, encoding="utf-8")
        config = sandbox.config(
            models={"url": guard.url, "token_file": str(token)},
            ledger={"kind": "postgres", "url_file": str(ledger)},
        )
        async with serving(config) as service:
            await sandbox.whole(service)

            guard.token = "token-of-the-second-day"
            token.write_text(guard.token, encoding="utf-8")
            ledger.write_text(second, encoding="utf-8")
            old = urlsplit(first).username
            await execute(sandbox.ledger.url, f"ALTER ROLE {old} NOLOGIN")
            await execute(
                sandbox.ledger.url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{old}'"
            )
            await service.until(lambda: guard.passed.get(guard.token), what="Gordo is asked with the new token")
            until = await sandbox.whole(service)
            users: set[str] = set()

            async def connected() -> bool:  # an expired session is replaced when the next one is needed
                users.update(row["usename"] for row in await sandbox.ledger.fetch(_USERS))
                return bool(users)

            await service.until(connected, what="the ledger is in use")
            replaced = {event["path"] for event in service.events("secret.replaced")}
            log = service.log()
            stopped = await service.stop()
        await sandbox.ledger.assert_adds_up(sandbox.models, until)
        refused = guard.refused

    assert users == {urlsplit(second).username}
    assert replaced == {str(token), str(ledger)}
    assert refused <= sandbox.models + 1  # requests that were on their way
    assert "of-the-first-day" not in log
    assert "of-the-second-day" not in log
    assert stopped == 0


def queue_of(path: Path) -> EventHubQueue:
    return EventHubQueue.model_validate({"connection_string_file": str(path)})


async def test_an_event_hub_is_logged_in_to_with_the_key_that_its_file_has_now(tmp_path):
    path = tmp_path / "event-hub"

    def write(secret: str) -> None:
        path.write_text(f"Endpoint=sb://plant.servicebus.windows.net/;{secret};EntityPath=latigo", encoding="utf-8")

    write("SharedAccessKeyName=latigo;SharedAccessKey=first")
    async with open_hub(queue_of(path), SystemClock()) as hub:
        key = hub._credential
        assert isinstance(key, AzureNamedKeyCredential)
        write("SharedAccessKeyName=latigo;SharedAccessKey=second")
        renewed = key.named_key
        path.write_text("Endpoint=none", encoding="utf-8")
        kept = key.named_key

    write("SharedAccessSignature=sr=x&sig=first&se=9")
    async with open_hub(queue_of(path), SystemClock()) as hub:
        signature = hub._credential
        assert isinstance(signature, AzureSasCredential)
        write("SharedAccessSignature=sr=x&sig=second&se=9")
        signed = signature.signature

    assert tuple(renewed) == tuple(kept) == ("latigo", "second")
    assert signed == "sr=x&sig=second&se=9"
