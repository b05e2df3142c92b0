"""A Gordo server behind TLS, with a certificate of the plant's own authority."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.providers.gordo import open_gordo
from latigo.sandbox.gordo import open_sandbox_gordo
from latigo.settings import GordoModels, load_settings
from latigo.wiring.roster import NoRoster
from tests.support.certificates import Certificate, by_private_authority
from tests.support.process import PROJECT, a_project, latigo, write_config


@asynccontextmanager
async def behind_tls(url: str, certificate: Certificate) -> AsyncIterator[str]:
    """The URL of a proxy that speaks TLS in front of a server without it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server = urlsplit(url)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # one side has hung up
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection(server.hostname, server.port)
        await asyncio.gather(pipe(reader, inner[1]), pipe(inner[0], writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", ssl=context)
    async with listening:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_a_gordo_of_a_private_authority_is_used_where_the_settings_trust_it_and_only_there(
    ledger_url: str, tmp_path: Path
):
    authority, certificate = by_private_authority(tmp_path)
    async with open_sandbox_gordo(a_project(2)) as gordo, behind_tls(gordo.url, certificate) as url:
        async with open_gordo(GordoModels(url=url, ca_file=authority), NoRoster()) as trusting:
            listed = await trusting.catalogue.ping(PROJECT)
        async with open_gordo(GordoModels(url=url), NoRoster()) as of_the_system:
            with pytest.raises(Unavailable, match="certificate"):
                await of_the_system.catalogue.ping(PROJECT)
        ledger = {"kind": "postgres", "url": ledger_url}
        config = write_config(tmp_path, ledger=ledger, models={"url": url, "ca_file": str(authority)})
        code, checked, _ = await latigo("check", "--config", str(config), folder=tmp_path)

    assert listed.endswith("2 models")
    assert code == 0
    assert f"gordo/{PROJECT}" in checked


async def test_authorities_of_gordo_that_cannot_be_used_are_refused_by_their_key(tmp_path: Path):
    section = GordoModels(url="https://gordo", ca_file=Path("/nowhere.pem"))
    with pytest.raises(ConfigurationError, match=r"models\.ca_file: /nowhere\.pem cannot be read"):
        async with open_gordo(section, NoRoster()):
            pytest.fail("it was opened")

    (tmp_path / "latigo.toml").write_text("[models]\nurl = 'http://gordo'\nca_file = '/nowhere.pem'\n")
    with pytest.raises(ConfigurationError, match=r"models\.ca_file: needs an https url"):
        load_settings(tmp_path / "latigo.toml", {})
