"""A login server like that of Microsoft Entra ID, for azure-identity itself: https, and one path."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import connector, web

from tests.support.certificates import self_signed

TENANT = "3aa4a235-0000-0000-0000-000000000000"
CLIENT, SECRET = "a-client-id", "s3cret-of-the-client"
SCOPE = "api://gateway/.default"
CREDENTIAL = {
    "credential": "client_secret",
    "tenant_id": TENANT,
    "client_id": CLIENT,
    "client_secret": SECRET,
    "scope": SCOPE,
}


@dataclass
class Directory:
    """Which tokens it gave."""

    url: str = ""
    broken: bool = False
    given: list[str] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(form)
        if self.broken:
            return web.json_response({"error": "temporarily_unavailable"}, status=503)
        if form.get("client_secret") != SECRET:
            return web.json_response(
                {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."},
                status=401,
            )
        self.given.append(f"token-{len(self.given) + 1}-of-the-directory")
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": self.given[-1]})


@asynccontextmanager
async def directory(folder: Path, patched: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    """Run it, and point the environment of azure-identity to it."""
    entra, certificate = Directory(), self_signed(folder, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    app = web.Application()
    app.router.add_post("/{tenant}/oauth2/v2.0/token", entra.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    entra.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    patched.setenv("AZURE_AUTHORITY_HOST", entra.url)
    # azure-identity lets aiohttp choose, which has made its context of the system's authorities when it was imported.
    patched.setattr(connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=certificate.certificate))
    try:
        yield entra
    finally:
        await runner.cleanup()
