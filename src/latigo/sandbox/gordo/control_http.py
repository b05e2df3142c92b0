"""The controls over HTTP, for a server that runs in a process of its own.

=======  ================================  ==========================================================================
GET      ``/sandbox/calls``                counts by path, project and model; predictions in flight, now and at most
GET      ``/sandbox/executed``             every run of a model
POST     ``/sandbox/troubles``             ``{"kind": ..., "project", "model", "paths", "skip", "times", ...}``: its id
GET      ``/sandbox/troubles/{id}``        how often it has struck; ``?wait=SECONDS`` waits until it has
DELETE   ``/sandbox/troubles/{id}``        lift it
POST     ``/sandbox/revisions``            ``{"project", "revision"}``: publish the same models under it
POST     ``/sandbox/behind``               ``{"project", "revision"}``: half of the requests meet a process that has
                                           nothing newer, until the revision is null
POST     ``/sandbox/expected``             ``{"project", "models"}``: what ``expected-models`` answers
DELETE   ``/sandbox/models/{p}/{m}``       remove model m of project p
=======  ================================  ==========================================================================

Kinds of trouble: ``unavailable`` (``retry_after`` seconds), ``hang``, ``garbage``, ``server_error``, ``empty_models``,
``status`` (``status``), ``delay`` (``seconds``) and ``close`` (``after_bytes``).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
from aiohttp import web

from latigo.sandbox.gordo.body import Body
from latigo.sandbox.gordo.controls import (
    EMPTY_MODELS,
    GARBAGE,
    SERVER_ERROR,
    Answer,
    CallKind,
    Close,
    Controls,
    Delay,
    Hang,
    Misbehaviour,
    Scope,
    Trouble,
    unavailable,
)
from latigo.sandbox.gordo.projects import Project

_LONGEST_WAIT_S = 60.0
_SIMPLE: Mapping[str, Misbehaviour] = {
    "hang": Hang(),
    "garbage": GARBAGE,
    "server_error": SERVER_ERROR,
    "empty_models": EMPTY_MODELS,
}


async def respond_to_control(
    controls: Controls, projects: Mapping[str, Project], request: web.Request, body: bytes
) -> web.Response:
    """Run a control; 400 with the reason if it cannot be run."""
    try:
        return _json(await _control(controls, projects, request, body))
    except (KeyError, ValueError, TypeError) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, status=400)


async def _control(
    controls: Controls, projects: Mapping[str, Project], request: web.Request, body: bytes
) -> Mapping[str, Any]:
    match request.method, request.path.split("/")[2:]:
        case "GET", ["calls"]:
            return _calls(controls)
        case "GET", ["executed"]:
            return {"executed": [run._asdict() for run in controls.executed]}
        case "POST", ["troubles"]:
            return {"id": _trouble(controls, orjson.loads(body)).number}
        case "GET", ["troubles", number]:
            trouble = controls.numbered(int(number))
            await _wait(trouble, float(request.query.get("wait", "0")))
            return {"met": trouble.met, "lifted": trouble.lifted.is_set()}
        case "DELETE", ["troubles", number]:
            controls.numbered(int(number)).lift()
            return {"ok": True}
        case "POST", ["revisions"]:
            requested = orjson.loads(body)
            projects[requested["project"]].publish(requested["revision"])
            return {"ok": True}
        case "POST", ["behind"]:
            requested = orjson.loads(body)
            projects[requested["project"]].disagree(requested["revision"])
            return {"ok": True}
        case "POST", ["expected"]:
            requested = orjson.loads(body)
            projects[requested["project"]].expected = [str(name) for name in requested["models"]]
            return {"ok": True}
        case "DELETE", ["models", project, model]:
            projects[project].remove(model)
            return {"ok": True}
        case _:
            raise ValueError(f"no such control: {request.method} {request.path}")


def _json(content: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")


def _calls(controls: Controls) -> Mapping[str, Any]:
    return {
        "calls": [{**call._asdict(), "count": count} for call, count in controls.calls.items()],
        "in_flight": controls.in_flight,
        "most_in_flight": controls.most_in_flight,
    }


async def _wait(trouble: Trouble, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(min(seconds, _LONGEST_WAIT_S)):
            await trouble.reached()


def _trouble(controls: Controls, requested: Mapping[str, Any]) -> Trouble:
    paths = requested.get("paths", ["models"] if requested["kind"] == "empty_models" else None)
    kinds = None if paths is None else [CallKind(path) for path in paths]
    scope = Scope(requested.get("project"), requested.get("model"), kinds)
    return controls.trouble(
        _misbehaviour(requested), scope, skip=requested.get("skip", 0), times=requested.get("times")
    )


def _misbehaviour(requested: Mapping[str, Any]) -> Misbehaviour:
    match requested["kind"]:
        case "unavailable":
            return unavailable(timedelta(seconds=requested["retry_after"]) if "retry_after" in requested else None)
        case "status":
            return Answer(Body(int(requested["status"]), b"as requested", "text/plain"))
        case "delay":
            return Delay(float(requested["seconds"]))
        case "close":
            return Close(requested.get("after_bytes"))
        case kind:
            return _SIMPLE[kind]
