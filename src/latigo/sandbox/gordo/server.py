"""A server that responds as Gordo's does. A development part, not for production.

Paths, codes and bodies are those of the reference page on Gordo's HTTP API. Unlike Gordo, one server may serve
several projects; with a single one, any project name works, as in Gordo.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from aiohttp import web

from latigo.domain.windows import from_ns
from latigo.providers.simulated import Plant
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger
from latigo.sandbox.gordo.body import Body, Refused, encode_json, message, page
from latigo.sandbox.gordo.control_http import respond_to_control
from latigo.sandbox.gordo.controls import Answer, Call, CallKind, Close, Controls, Delay, Executed, Hang
from latigo.sandbox.gordo.definition import ModelDefinition, ProjectDefinition
from latigo.sandbox.gordo.frames import Index
from latigo.sandbox.gordo.metadata import GORDO_VERSION, metadata_document
from latigo.sandbox.gordo.model import FittedModel, Thresholds
from latigo.sandbox.gordo.predictions import CannedPredictions, check_inputs, predict
from latigo.sandbox.gordo.projects import Project, find_model, find_revision
from latigo.sandbox.gordo.requests import read_frames
from latigo.sandbox.gordo.responses import response_json, response_parquet
from latigo.sandbox.gordo.routes import Route, check_method, find_route

SERVER = "latigo-sandbox-gordo (development part)"

#: Gordo runs under gunicorn, which closes idle connections after two seconds.
KEEP_ALIVE_S = 2.0

_MOST_BODY_BYTES = 256 * 1024 * 1024

log = get_logger(__name__)


class _PredictionRequest(NamedTuple):
    """One request for a prediction."""

    call: Call
    revision: str
    models: Mapping[str, ModelDefinition]
    query: Mapping[str, str]
    content_type: str
    body: bytes
    began: float


class SandboxGordo:
    """The server; open it with `open_sandbox_gordo`.

    Args:
        projects: that it serves; the first one serves paths without a project.
        plant: that the models are trained on.
        canned: parquet responses that are made without a model; no model is trained for its metadata either, which
            then has thresholds of 1.
        full_metadata: metadata of the size of a real document, about 4 kB a tag.
        workers: concurrent predictions; None for no limit. Others are queued, as with gunicorn.
        service_seconds: least duration of a prediction, as if its model were loaded from disk.
        models_kept: trained models held in memory.
        clock: for the durations that responses report.
    """

    def __init__(
        self,
        projects: ProjectDefinition | Sequence[ProjectDefinition],
        plant: Plant,
        *,
        canned: CannedPredictions | None = None,
        full_metadata: bool = False,
        workers: int | None = None,
        service_seconds: float = 0.0,
        models_kept: int = 1024,
        clock: Clock | None = None,
    ) -> None:
        definitions = [projects] if isinstance(projects, ProjectDefinition) else projects
        if not definitions or len({definition.project for definition in definitions}) < len(definitions):
            raise ValueError("a server has one project or more, each under a name of its own")
        self.projects = {definition.project: Project(definition) for definition in definitions}
        self.controls = Controls()
        self.url = ""  #: known once it is open
        self._only = next(iter(self.projects.values()))
        self._plant = plant
        self._canned = canned
        self._full_metadata = full_metadata
        self._workers = nullcontext() if workers is None else asyncio.Semaphore(workers)
        self._service_seconds = service_seconds
        self._models_kept = models_kept
        self._clock = clock or SystemClock()
        self._fitted: OrderedDict[tuple[ModelDefinition, str], FittedModel] = OrderedDict()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Respond to a request."""
        began = self._clock.monotonic()
        body = await request.read()
        if request.path.startswith("/sandbox/"):
            return await respond_to_control(self.controls, self.projects, request, body)
        route = find_route(request.path)
        with self.controls.in_flight_during(route.call):
            trouble = self.controls.meet(route.call)
            match trouble.how if trouble else None:
                case Answer(content):
                    project = self._project(route.call) or self._only
                    return self._respond(content, self._revision_of(request, project), began)
                case Close(None):
                    return await self._broken(request, b"", 0)
                case Hang() if trouble:
                    await trouble.lifted.wait()
                case Delay(seconds):
                    await asyncio.sleep(seconds)
                case _:
                    pass
            response = await self._respond_normally(request, route, body, began)
        if trouble and isinstance(trouble.how, Close) and isinstance(response.body, bytes):
            return await self._broken(request, response.body, trouble.how.after_bytes or 0)
        return response

    async def _respond_normally(self, request: web.Request, route: Route, body: bytes, began: float) -> web.Response:
        project = self._project(route.call)
        project = project and project.of_one_process()
        revision = self._revision_of(request, project or self._only)
        try:
            models = find_revision(project, revision)
            check_method(request.method, route)
            if route.call.kind.predicts:
                content_type = request.headers.get("Content-Type", "")
                prediction = _PredictionRequest(route.call, revision, models, request.query, content_type, body, began)
                async with self._workers:
                    await asyncio.sleep(self._service_seconds)
                    content = self._predict(prediction)
            else:
                content = self._look_up(project or self._only, route, revision, models)
        except Refused as refused:
            content = refused.body
        return self._respond(content, revision, began)

    def _project(self, call: Call) -> Project | None:
        if len(self.projects) == 1 or not call.project:
            return self._only
        return self.projects.get(call.project)

    def _revision_of(self, request: web.Request, project: Project) -> str:
        """Return the revision of the query, else of the header, else the latest."""
        if "revision" in request.query:
            return request.query["revision"]
        if "revision" in request.headers:
            return request.headers["revision"]
        return project.latest

    def _look_up(self, project: Project, route: Route, revision: str, models: Mapping[str, ModelDefinition]) -> Body:
        """Respond to anything but predictions."""
        match route.call.kind:
            case CallKind.HEALTHCHECK:
                return Body(200, b"", "text/html")
            case CallKind.VERSION:
                return Body(200, {"version": GORDO_VERSION})
            case CallKind.REVISIONS:
                newest_first = sorted(project.revisions, key=int, reverse=True)
                return Body(200, {"available-revisions": newest_first, "latest": project.latest})
            case CallKind.MODELS:
                return Body(200, {"models": list(models)})
            case CallKind.EXPECTED:
                return Body(200, {"expected-models": project.expected})
            case CallKind.DELETE:
                return self._delete(project, route)
            case CallKind.DOWNLOAD:
                find_model(models, route.call.model, "No such model found: ")
                return Body(200, b"the sandbox has no pickled models", "application/octet-stream")
            case _:
                model = find_model(models, route.call.model, "No metadata found for ")
                thresholds = self._thresholds(model, revision)
                content = metadata_document(project.name, model, revision, thresholds, full=self._full_metadata)
                return Body(200, content)

    def _delete(self, project: Project, route: Route) -> Body:
        if not route.revision.isdigit():
            return message(422, "Revision should only contains numbers.", "error")
        if route.revision == project.latest:
            return message(409, "Unable to delete current revision.", "error")
        if route.call.model not in project.revisions.get(route.revision, {}):
            return page(404, "Not found")
        project.remove(route.call.model, route.revision)
        return Body(200, {"ok": True})

    def _thresholds(self, model: ModelDefinition, revision: str) -> Thresholds | None:
        if not model.kind.detector:
            return None
        if self._canned is not None:
            return Thresholds(np.ones(len(model.target_list)), 1.0)
        return self._fitted_model(model, revision).thresholds

    def _fitted_model(self, model: ModelDefinition, revision: str) -> FittedModel:
        """Return the model, trained at first use on the readings before its revision was built."""
        key = (model, revision)
        fitted = self._fitted.get(key)
        if fitted is None:
            fitted = self._fitted[key] = FittedModel.trained_on(self._plant, model, int(revision) * 1_000_000)
            if len(self._fitted) > self._models_kept:
                self._fitted.popitem(last=False)
        self._fitted.move_to_end(key)
        return fitted

    def _predict(self, request: _PredictionRequest) -> Body:
        model = find_model(request.models, request.call.model, "No such model found: ")
        parquet = request.query.get("format") == "parquet"
        every_column = "all_columns" in request.query
        if parquet and not every_column and (canned := self._canned_response(request, model)):
            return Body(200, canned, "application/octet-stream")
        anomaly = request.call.kind is CallKind.ANOMALY
        x, y = check_inputs(read_frames(request.body, request.content_type), model, anomaly=anomaly)
        self._executed(request, x.index)
        groups, index = predict(self._fitted_model(model, request.revision), x, y)
        if not every_column:
            groups = [group for group in groups if not group.name.startswith("smooth-")]
        if parquet:
            return Body(200, response_parquet(groups, index), "application/octet-stream")
        content: dict[str, Any] = {"data": response_json(groups, index)}
        if anomaly:
            content["time-seconds"] = f"{self._clock.monotonic() - request.began:.4f}"
        return Body(200, content)

    def _canned_response(self, request: _PredictionRequest, model: ModelDefinition) -> bytes | None:
        anomaly = request.call.kind is CallKind.ANOMALY
        if self._canned is None or (anomaly and not model.kind.detector):
            return None
        canned = self._canned.predict(model, request.revision, request.body, request.content_type, anomaly=anomaly)
        if canned is None:
            return None
        response, index = canned
        self._executed(request, index)
        return response

    def _executed(self, request: _PredictionRequest, index: Index) -> None:
        first, last = None, None
        if index.timed and len(index):
            first, last = from_ns(int(index.labels[0])), from_ns(int(index.labels[-1]))
        call = request.call
        run = Executed(call.kind, call.project, call.model, request.revision, first, last, len(index))
        self.controls.executed.append(run)

    def _respond(self, body: Body, revision: str, began: float) -> web.Response:
        content = body.content
        if isinstance(content, Mapping):
            content = encode_json({**content, "revision": revision})
        charset = "; charset=utf-8" if body.content_type.startswith("text/") else ""
        headers = {
            "Content-Type": body.content_type + charset,
            "Server": SERVER,
            "Server-Timing": f"request_walltime_s;dur={self._clock.monotonic() - began:.6f}",
            "revision": revision,
            **body.headers,
        }
        return web.Response(status=body.status, body=content, headers=headers)

    async def _broken(self, request: web.Request, body: bytes, after_bytes: int) -> web.StreamResponse:
        """Send part of a response, and close the connection."""
        response = web.StreamResponse(headers={"Server": SERVER, "Content-Length": str(len(body))})
        if after_bytes:
            await response.prepare(request)
            await response.write(body[:after_bytes])
        if request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def open_sandbox_gordo(
    projects: ProjectDefinition | Sequence[ProjectDefinition],
    plant: Plant | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Any,
) -> AsyncIterator[SandboxGordo]:
    """Run a server in this event loop; it listens at ``server.url``. Options are those of `SandboxGordo`."""
    server = SandboxGordo(projects, plant or Plant(), **options)
    app = web.Application(client_max_size=_MOST_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        server.url = f"http://{host}:{runner.addresses[0][1]}"
        counts = {name: len(project.revisions[project.latest]) for name, project in server.projects.items()}
        log.info(
            "sandbox.started", downstream="sandbox/gordo", url=server.url, models=counts, purpose="development only"
        )
        yield server
    finally:
        server.controls.lift_all()  # or hanging calls would delay the end
        await runner.cleanup()
