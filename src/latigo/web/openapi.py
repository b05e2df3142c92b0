"""The API, described; pure."""

from collections.abc import Mapping
from typing import Any

from latigo import __version__
from latigo.reports.base import Report
from latigo.reports.status import Status

_JSON = "application/json"
_SCHEMAS = "#/components/schemas/"


def document() -> dict[str, Any]:
    """The OpenAPI document of every path that is served."""
    reasons = _object({"reasons": {"type": "array", "items": {"type": "string"}}})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latigo", "version": __version__, "summary": "Continuous predictions of Gordo's models."},
        "paths": {
            "/": _get("Where things are.", {"200": _answer("A page.", "text/html")}),
            "/livez": _get(
                "Whether the process is alive. Never asks another system.",
                {"200": _answer("It is."), "503": _answer("It should be restarted.", schema=reasons)},
            ),
            "/readyz": _get(
                "Whether the process can do its work.",
                {"200": _answer("It can."), "503": _answer("Not now.", schema=reasons)},
            ),
            "/metrics": _get("Metrics for Prometheus.", {"200": _answer("All of them.", "text/plain")}),
            "/api/v1/status": _get(
                "How the service is doing.",
                {
                    "200": _answer("Its status.", schema={"$ref": f"{_SCHEMAS}Status"}),
                    "503": {"$ref": "#/components/responses/Problem"},
                },
            ),
            "/api/v1/openapi.json": _get("This document.", {"200": _answer("It.")}),
        },
        "components": {
            "schemas": _schemas(Status),
            "responses": {"Problem": _answer("What went wrong.", schema=_object({"error": {"type": "string"}}))},
        },
    }


def _get(summary: str, responses: Mapping[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": dict(responses)}}


def _answer(description: str, content: str = _JSON, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    plain = {"type": "object"} if content == _JSON else {"type": "string"}
    return {"description": description, "content": {content: {"schema": dict(schema or plain)}}}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _schemas(report: type[Report]) -> dict[str, Any]:
    """Return the schemas of a report and of its parts, by name."""
    schema = report.model_json_schema(mode="serialization", ref_template=_SCHEMAS + "{model}")
    return {**schema.pop("$defs"), report.__name__: schema}
