"""The OpenAPI document of the API; pure."""

from collections.abc import Mapping
from typing import Any

from latigo import __version__
from latigo.reports.base import Report
from latigo.reports.status import Status

_JSON = "application/json"
_SCHEMAS = "#/components/schemas/"


def document() -> dict[str, Any]:
    """Return the OpenAPI document of every path that is served."""
    reasons = _object({"reasons": {"type": "array", "items": {"type": "string"}}})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latigo", "version": __version__, "summary": "Continuous predictions of Gordo's models."},
        "paths": {
            "/": _get("The front page, with links to the rest.", {"200": _response("A page.", "text/html")}),
            "/livez": _get(
                "Liveness of the process. Calls no other system.",
                {"200": _response("It is alive."), "503": _response("It should be restarted.", schema=reasons)},
            ),
            "/readyz": _get(
                "Readiness of the process.",
                {"200": _response("It is ready."), "503": _response("It is not ready now.", schema=reasons)},
            ),
            "/metrics": _get("Metrics for Prometheus.", {"200": _response("All metrics.", "text/plain")}),
            "/api/v1/status": _get(
                "Status of the service: freshness, backlog, circuits, failures, alarms.",
                {
                    "200": _response("The status.", schema={"$ref": f"{_SCHEMAS}Status"}),
                    "503": {"$ref": "#/components/responses/Problem"},
                },
            ),
            "/api/v1/openapi.json": _get("This document.", {"200": _response("The document.")}),
        },
        "components": {
            "schemas": _schemas(Status),
            "responses": {"Problem": _response("The error.", schema=_object({"error": {"type": "string"}}))},
        },
    }


def _get(summary: str, responses: Mapping[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": dict(responses)}}


def _response(description: str, content: str = _JSON, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    plain = {"type": "object"} if content == _JSON else {"type": "string"}
    return {"description": description, "content": {content: {"schema": dict(schema or plain)}}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _schemas(report: type[Report]) -> dict[str, Any]:
    """Return the schemas of a report and of its parts, by name."""
    schema = report.model_json_schema(mode="serialization", ref_template=_SCHEMAS + "{model}")
    return {**schema.pop("$defs"), report.__name__: schema}
