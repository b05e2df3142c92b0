"""The web pages: a shell for every screen, and the static files behind it, compressed once.

All static files stand below one digest of all of them, so that modules import each other by plain relative names and
every address is immutable (decision 30).
"""

import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import NamedTuple, Self

from aiohttp import hdrs, web

from latigo.settings import HttpSettings
from latigo.web.responses import Response

#: Paths of screens, and the module that draws each; what the last parts name, the page reads itself.
SCREENS = {
    "/": "overview.js",
    "/models": "models.js",
    "/models/{project}/{model}": "model.js",
    "/anomalies": "anomalies.js",
    "/failures": "failures.js",
    "/backfills": "backfills.js",
    "/backfills/{request}": "backfills.js",
    "/queue": "queue.js",
    "/settings": "settings.js",
}
_FRAME = "app.js"
_IMPORT = re.compile(r'\bfrom "\./([^"]+)"')
_FOLDERS = ("static", "libraries")  #: the second one is made by the build hook, and may be missing
_IMMUTABLE = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_NO_BROWSER = "<p>These pages need JavaScript. The command line shows the same: <code>latigo status</code>.</p>"


class PageSettings(NamedTuple):
    """What the pages are served with."""

    base_path: str = ""
    time_zone: str = ""  #: of the plant; empty: not known
    frame_ancestors: Sequence[str] = ()
    grafana_url: str = ""  #: template of the board of one model; empty: none

    @classmethod
    def of(cls, http: HttpSettings) -> Self:
        """Return those of the settings."""
        return cls(http.base_path, http.time_zone or "", http.frame_ancestors, http.grafana_url or "")


class StaticFile(NamedTuple):
    """One file as it is sent."""

    content_type: str
    body: bytes
    compressed: bytes


class StaticFiles(NamedTuple):
    """All static files by name, and a digest of them all."""

    files: dict[str, StaticFile]
    digest: str


@cache
def static_files() -> StaticFiles:
    """Read and compress the static files of this installation."""
    files = {}
    for folder in _FOLDERS:
        for file in _listed(folder):
            kind = _TYPES.get("." + file.name.rpartition(".")[2])
            if kind is not None:
                body = file.read_bytes()
                if folder == "static":
                    body = without_comments(body.decode(), kind).encode()
                files[file.name] = StaticFile(kind, body, gzip.compress(body, 9, mtime=0))
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name].body)}\0".encode() + files[name].body)
    return StaticFiles(files, digest.hexdigest()[:16])


def without_comments(text: str, content_type: str) -> str:
    """Return one of our own files without indentation and comments, a fifth less to send. Pure.

    It relies on how they are written, and a test on what they are: comments have lines of their own or are types in
    ``/** */``, and no text runs over several lines or has a brace next to a space.
    """
    if content_type == "text/javascript":
        text = re.sub(r"^\s*//.*\n", "", re.sub(r"/\*\*.*?\*/ ?", "", text, flags=re.DOTALL), flags=re.MULTILINE)
        text = re.sub(r"(?<=\{) (?=\S)|(?<=\S) (?=\})", "", text)
    elif content_type == "text/css":
        text = re.sub(r"\s*([{};,])\s*|(?<=:)\s+", r"\1", re.sub(r"/\*.*?\*/\n?", "", text, flags=re.DOTALL))
    return re.sub(r"^\s+", "", text, flags=re.MULTILINE)


def _listed(folder: str) -> Sequence[resources.abc.Traversable]:
    found = resources.files("latigo.web") / folder
    return sorted(found.iterdir(), key=lambda file: file.name) if found.is_dir() else []


def content_policy(frame_ancestors: Sequence[str] = ()) -> str:
    """Return the Content-Security-Policy of the pages: own scripts and styles only, nothing inline."""
    framed_by = " ".join(frame_ancestors) or "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        f" base-uri 'none'; form-action 'none'; frame-ancestors {framed_by}"
    )


def first_modules(screen: str) -> tuple[str, ...]:
    """Return the modules without which a screen is not drawn: the frame, that of the screen, and what they import.

    What they load later (dialogs, actions, the library of charts, other screens) is not among them.
    """
    files, found, left = static_files().files, set[str](), [_FRAME, screen]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _IMPORT.findall(files[name].body.decode())
    return tuple(sorted(found))


def shell(pages: PageSettings, screen: str) -> str:
    """Return the HTML of a screen: what the page has to know before its first request, and which files it needs.

    Args:
        pages: what they are served with.
        screen: name of the module that draws it.
    """
    static = static_files()
    place = f"{pages.base_path}/static/{static.digest}/"
    modules = first_modules(screen)
    settings = {
        "base": pages.base_path,
        "static": place,
        "zone": pages.time_zone,
        "grafana": pages.grafana_url,
        "charts": "uPlot" if "uPlot.js" in static.files else "",
    }
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in settings.items())
    preloads = "".join(f'<link rel="modulepreload" href="{escape(place + name)}">\n' for name in modules)
    return (
        f'<!doctype html>\n<html lang="en"{attributes}>\n<head>\n<meta charset="utf-8">\n<title>Latigo</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="{escape(place)}icon.svg" type="image/svg+xml">\n'
        f'<link rel="stylesheet" href="{escape(place)}latigo.css">\n{preloads}'
        f'<script type="module" src="{escape(place)}app.js"></script>\n</head>\n'
        f"<body><noscript>{_NO_BROWSER}</noscript></body>\n</html>\n"
    )


def page_routes(pages: PageSettings, base_path: str = "") -> list[web.RouteDef]:
    """Return the routes of all screens and of their files, below a path that a proxy has passed on."""
    policy = content_policy(pages.frame_ancestors)
    return [
        *(
            web.get(base_path + path, _screen(shell(pages, module).encode(), policy))
            for path, module in SCREENS.items()
        ),
        web.get(f"{base_path}/static/{{digest}}/{{name}}", _static),
    ]


def _screen(page: bytes, policy: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    file = StaticFile("text/html", page, gzip.compress(page, 9, mtime=0))
    headers: dict[str, str] = {
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.ETAG: f'W/"{hashlib.sha256(page).hexdigest()[:16]}"',
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        "Content-Security-Policy": policy,
    }

    async def screen(request: web.Request) -> web.StreamResponse:
        if headers[hdrs.ETAG] in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return Response(status=304, headers=headers)
        return _sent(request, file, headers)

    return screen


async def _static(request: web.Request) -> web.StreamResponse:
    static = static_files()
    file = static.files.get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    # A page of another version may ask a process of this one while an upgrade is under way: it must not keep the file.
    current = request.match_info["digest"] == static.digest
    headers: dict[str, str] = {
        hdrs.CACHE_CONTROL: _IMMUTABLE if current else "no-cache",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }
    return _sent(request, file, headers)


def _sent(request: web.Request, file: StaticFile, headers: Mapping[str, str]) -> web.Response:
    encodings = request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
    body = file.body
    if "gzip" in {encoding.partition(";")[0].strip() for encoding in encodings.split(",")}:
        body, headers = file.compressed, {**headers, hdrs.CONTENT_ENCODING: "gzip"}
    return Response(body=body, headers=headers, content_type=file.content_type, charset="utf-8")
