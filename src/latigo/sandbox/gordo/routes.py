"""The paths of Gordo's server, and their methods."""

import re
from types import MappingProxyType
from typing import NamedTuple

from latigo.sandbox.gordo.body import Body, Refused, page
from latigo.sandbox.gordo.controls import Call, CallKind

_MODEL_NAME = re.compile(r"[A-Za-z0-9-]", re.ASCII)
_ALLOWED = MappingProxyType({"GET": "OPTIONS, HEAD, GET", "POST": "POST, OPTIONS", "DELETE": "DELETE, OPTIONS"})
_SERVER_ROUTES = {"healthcheck": CallKind.HEALTHCHECK, "server-version": CallKind.VERSION}
_PROJECT_ROUTES = {
    "revisions": CallKind.REVISIONS,
    "models": CallKind.MODELS,
    "expected-models": CallKind.EXPECTED,
}
_MODEL_ROUTES = {
    "metadata": (CallKind.METADATA, "GET"),
    "healthcheck": (CallKind.MODEL_HEALTHCHECK, "GET"),
    "download-model": (CallKind.DOWNLOAD, "GET"),
    "prediction": (CallKind.PREDICTION, "POST"),
    "anomaly/prediction": (CallKind.ANOMALY, "POST"),
}


class Route(NamedTuple):
    """The call of a path, and its method."""

    call: Call
    method: str
    revision: str = ""  #: of a DELETE


def find_route(path: str) -> Route:
    """Return the route of a path; ``UNKNOWN`` if Gordo has none."""
    match path.split("/")[1:]:
        case [name] if name in _SERVER_ROUTES:
            return Route(Call(_SERVER_ROUTES[name]), "GET")
        case ["gordo", "v0", project, name] if project and name in _PROJECT_ROUTES:
            return Route(Call(_PROJECT_ROUTES[name], project), "GET")
        case ["gordo", "v0", project, model, "revision", revision] if project and model and revision:
            return Route(Call(CallKind.DELETE, project, model), "DELETE", revision)
        case ["gordo", "v0", project, model, *rest] if project and model and "/".join(rest) in _MODEL_ROUTES:
            kind, method = _MODEL_ROUTES["/".join(rest)]
            return Route(Call(kind, project, model), method)
        case _:
            return Route(Call(CallKind.UNKNOWN), "")


def check_method(method: str, route: Route) -> None:
    """Check the method and the name of the model.

    Raises:
        Refused: the path has another method, the name is invalid, or there is no such path.
    """
    if route.call.kind is CallKind.UNKNOWN:
        raise Refused(page(404))
    if method == "OPTIONS":
        raise Refused(Body(200, b"", "text/html", {"Allow": _ALLOWED[route.method]}))
    if method != route.method and not (method == "HEAD" and route.method == "GET"):
        raise Refused(page(405, Allow=_ALLOWED[route.method]))
    if route.call.model and not _MODEL_NAME.match(route.call.model):
        raise Refused(page(422, "gordo_name field has wrong format"))
