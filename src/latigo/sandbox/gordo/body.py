"""Bodies of HTTP responses, and the pages and messages of Gordo's errors."""

import html
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

#: Werkzeug's title and description of each status.
_DESCRIPTIONS = {
    400: ("Bad Request", "The browser (or proxy) sent a request that this server could not understand."),
    404: (
        "Not Found",
        (
            "The requested URL was not found on the server. If you entered the URL manually please check your "
            "spelling and try again."
        ),
    ),
    405: ("Method Not Allowed", "The method is not allowed for the requested URL."),
    422: ("Unprocessable Entity", ""),
    500: (
        "Internal Server Error",
        (
            "The server encountered an internal error and was unable to complete your request. Either the server is "
            "overloaded or there is an error in the application."
        ),
    ),
}


class Body(NamedTuple):
    """Body of a response: JSON objects get the key ``revision`` added, bytes are sent unchanged."""

    status: int
    content: Mapping[str, Any] | bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class Refused(Exception):
    """A request that Gordo refuses, with the body of its response."""

    def __init__(self, body: Body) -> None:
        super().__init__(body.status)
        self.body = body


def page(status: int, text: str = "", **headers: str) -> Body:
    """Return an HTML page, Gordo's response to some errors."""
    title, description = _DESCRIPTIONS[status]
    shown = html.escape(text).replace("&#x27;", "&#39;") if text else description
    content = f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{shown}</p>\n"
    return Body(status, content.encode(), "text/html", headers)


def message(status: int, text: str, key: str = "message") -> Body:
    """Return a JSON body, Gordo's response to other errors."""
    return Body(status, {key: text})


def encode_json(document: Mapping[str, Any]) -> bytes:
    """Encode JSON as Flask does in Gordo: NaN and infinities as bare words, everything else in ASCII."""
    return (json.dumps(document)).encode()
