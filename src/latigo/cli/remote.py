"""Where a command asks: a service over HTTP, by ``--url``, or in its own process."""

import os
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from latigo.domain.errors import Misused

URL, TOKEN, TOKEN_FILE = "LATIGO_URL", "LATIGO_TOKEN", "LATIGO_TOKEN_FILE"
_LARGEST_TOKEN = 64 * 1024

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help=f"Ask a running Latigo over HTTP, without its configuration. By default ${URL}.",
        show_default=False,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help=f"With --url: the bearer token. By default ${TOKEN}, or the file ${TOKEN_FILE}.",
        show_default=False,
    ),
]

#: Of commands that do not ask a service.
RefusedUrl = Annotated[str | None, typer.Option("--url", hidden=True)]


class Remote(NamedTuple):
    """A service that is asked over HTTP."""

    url: str
    token: str  #: empty: none


_chosen: ContextVar[Remote | None] = ContextVar("remote", default=None)


def chosen() -> Remote | None:
    """Return the service that the running command asks; None: it answers in its own process."""
    return _chosen.get()


def choose(url: str | None, token_file: Path | None) -> None:
    """Read ``--url`` and ``--token-file``, and the variables in their place.

    Raises:
        Misused: the URL is none, or the token cannot be read.
    """
    where = url or os.environ.get(URL, "")
    if not where:
        if token_file is not None:
            raise Misused("--token-file is of --url, which is missing")
        _chosen.set(None)
        return
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(where)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        valid = valid and where.isprintable() and " " not in where
        (parts.hostname or "").encode("idna")  # as it is looked up
    except ValueError:
        valid = False
    if not valid or parts.username or parts.password or parts.query or parts.fragment:
        raise Misused(
            f"--url, {URL}: should be a URL such as https://latigo.example.com, without credentials and query"
        )
    token = _token(token_file)
    if token and parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        typer.echo(f"latigo: the token goes to {parts.hostname} unencrypted: use https where you can", err=True)
    _chosen.set(Remote(where.rstrip("/"), token))


def refuse(url: str | None, why: str, *, reads_settings: bool) -> None:
    """Refuse ``--url`` for a command that does not ask a service.

    Raises:
        Misused: it is given, or its variable where the command could be meant for it.
    """
    if url is not None or (reads_settings and os.environ.get(URL)):
        given = "--url" if url is not None else f"{URL} (unset it)"
        raise Misused(f"{given} cannot be used here: {why}")


def _token(file: Path | None) -> str:
    path = file or (Path(named) if not os.environ.get(TOKEN) and (named := os.environ.get(TOKEN_FILE)) else None)
    if path is None:
        return _one_word(os.environ.get(TOKEN, ""), TOKEN)
    from latigo.runtime.files import read_limited

    name = "--token-file" if file is not None else TOKEN_FILE
    try:
        text = read_limited(path.expanduser(), _LARGEST_TOKEN).decode()
    except (OSError, ValueError) as error:
        raise Misused(f"{name}: {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _one_word(text, f"{name}: {path}")


def _one_word(text: str, where: str) -> str:
    """Return a token as it is sent in a header; an error does not quote it."""
    token = text.strip()
    if not token.isprintable() or not token.isascii() or " " in token:
        raise Misused(f"{where} holds no token: one word of plain characters")
    return token
