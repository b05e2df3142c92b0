"""A Gordo server behind a gateway that wants tokens of Microsoft Entra ID, fetched by azure-identity itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.providers.gordo import Gordo, open_gordo
from latigo.sandbox.gordo import open_sandbox_gordo
from latigo.settings import GordoModels
from latigo.wiring.roster import NoRoster
from tests.support.entra import CREDENTIAL, SCOPE, TENANT, Directory, directory
from tests.support.process import PROJECT, a_project


class Gateway:
    """Passes requests with the newest token of the directory on, and refuses all others."""

    def __init__(self, entra: Directory, server: str) -> None:
        self._entra = entra
        self._server = server
        self.url = ""
        self.revoked: set[str] = set()
        self.refused = 0

    async def handle(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self._entra.given or token in self.revoked:
            self.refused += 1
            return web.json_response({"statusCode": 401, "message": "Unauthorized"}, status=401)
        async with ClientSession() as session, session.get(f"{self._server}{request.rel_url}") as answer:
            headers = {name: answer.headers[name] for name in ("revision", "Content-Type") if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)


@asynccontextmanager
async def gateway(entra: Directory) -> AsyncIterator[Gateway]:
    async with open_sandbox_gordo(a_project(2)) as server:
        between = Gateway(entra, server.url)
        app = web.Application()
        app.router.add_route("*", "/{anything:.*}", between.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        between.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield between
        finally:
            await runner.cleanup()


@pytest.fixture
async def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    async with directory(tmp_path, monkeypatch) as running:
        yield running


@asynccontextmanager
async def models_at(url: str, **changed: object) -> AsyncIterator[Gordo]:
    async with open_gordo(GordoModels.model_validate({"url": url, **CREDENTIAL, **changed}), NoRoster()) as models:
        yield models


async def test_twenty_first_calls_at_once_make_one_request_for_a_token(entra: Directory):
    async with gateway(entra) as between, models_at(between.url) as models:
        answers = await asyncio.gather(*(models.catalogue.ping(PROJECT) for _ in range(20)))

    assert {answer.endswith("2 models") for answer in answers} == {True}
    assert (len(entra.given), between.refused) == (1, 0)
    (request,) = entra.requests
    assert (request["scope"], request["grant_type"]) == (SCOPE, "client_credentials")


async def test_a_token_that_is_revoked_in_the_middle_is_not_noticed(entra: Directory):
    async with gateway(entra) as between, models_at(between.url) as models:
        await models.catalogue.ping(PROJECT)
        between.revoked |= set(entra.given)
        answers = await asyncio.gather(*(models.catalogue.ping(PROJECT) for _ in range(20)))

    assert {answer.endswith("2 models") for answer in answers} == {True}
    assert len(entra.given) == 2


async def test_a_gateway_that_refuses_good_tokens_is_asked_twice_and_then_alarms(entra: Directory):
    async with gateway(entra) as between, models_at(between.url) as models:
        between.revoked |= {f"token-{number}-of-the-directory" for number in range(9)}
        with pytest.raises(Unavailable, match="401") as raised:
            await models.catalogue.ping(PROJECT)

    assert raised.value.alarm
    assert between.refused == 2
    assert not any(token in str(raised.value) for token in entra.given)


async def test_a_refused_login_is_an_alarm_that_says_why(entra: Directory):
    async with gateway(entra) as between, models_at(between.url, client_secret="another") as models:
        with pytest.raises(Unavailable, match="AADSTS7000215") as raised:
            await models.catalogue.ping(PROJECT)

    assert raised.value.alarm
    assert raised.value.downstream == f"gordo/{PROJECT}"
    assert between.refused == 0


async def test_a_directory_that_is_out_of_order_is_waited_for(entra: Directory):
    entra.broken = True
    async with gateway(entra) as between, models_at(between.url) as models:
        with pytest.raises(Unavailable) as raised:
            await models.catalogue.ping(PROJECT)
        entra.broken = False
        answer = await models.catalogue.ping(PROJECT)

    assert not raised.value.alarm
    assert answer.endswith("2 models")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"scope": None}, "credential and scope go together"),
        ({"credential": None}, "credential and scope go together"),
        ({"client_secret": None}, "needs tenant_id, client_id and client_secret"),
        ({"token": "a-token"}, "either token, or credential"),
    ],
)
def test_half_a_login_is_refused(changed: dict[str, object], says: str):
    with pytest.raises(ValueError, match=says):
        GordoModels.model_validate({**CREDENTIAL, **changed})


async def test_an_identity_that_cannot_be_used_here_is_named_by_its_key():
    login = {"credential": "client_certificate", "tenant_id": TENANT, "certificate_file": "/not/there.pem"}
    with pytest.raises(ConfigurationError, match=r"models\.credential: client_certificate cannot be used"):
        async with models_at("http://127.0.0.1:9", **login):
            pytest.fail("it was opened")
