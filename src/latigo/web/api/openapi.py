"""The OpenAPI document, made from the endpoints; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from latigo import __version__
from latigo.web.api.endpoint import PREFIX, Endpoint, Octets
from latigo.web.api.handling import JSON, media_types
from latigo.web.api.idempotency import KEY_HEADER
from latigo.web.problems import MEDIA_TYPE, Problem

_REF = "#/components/schemas/{model}"
_REASONS = {
    "type": "object",
    "properties": {"reasons": {"type": "array", "items": {"type": "string"}}},
    "required": ["reasons"],
}
_DESCRIPTION = """\
Times are RFC 3339 in UTC, durations seconds. Lists have pages of `limit` rows, at most 1000; `next` is the `cursor` of
the page after. An answer has a weak `ETag`. Acting needs a bearer token that may act; an `Idempotency-Key` is honoured
for a day. Errors are `application/problem+json`, whose `type` stays."""


def document(endpoints: Sequence[Endpoint[Any, Any]]) -> dict[str, Any]:
    """Return the OpenAPI document of every path that programs use."""
    models: list[tuple[type[BaseModel], Any]] = [(Problem, "serialization")]
    for endpoint in endpoints:
        models.append((endpoint.question, "validation"))
        if endpoint.answer is not Octets:
            models.append((endpoint.answer, "serialization"))
    names, schemas = _schemas(tuple(dict.fromkeys(models)))
    paths: dict[str, Any] = dict(_of_the_process())
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas[names[endpoint.question]], names)
        paths.setdefault(f"{PREFIX}{endpoint.path}", {})[endpoint.method.lower()] = operation
    questions = {names[endpoint.question] for endpoint in endpoints}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Latigo",
            "version": __version__,
            "summary": "Continuous predictions of Gordo's models.",
            "description": _DESCRIPTION,
        },
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in questions},
            "responses": {"Problem": _response("Why there is no answer.", {MEDIA_TYPE: _ref(names[Problem])})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(models: Sequence[tuple[type[BaseModel], Any]]) -> tuple[Mapping[Any, str], Mapping[str, Any]]:
    """Return the name of each model, and the schemas by their names: a tenth of a second of work for all endpoints."""
    by_model, definitions = models_json_schema(models, ref_template=_REF)
    names = {model: reference["$ref"].rpartition("/")[2] for (model, _), reference in by_model.items()}
    return names, definitions.get("$defs", {})


def _operation(endpoint: Endpoint[Any, Any], question: Mapping[str, Any], names: Mapping[Any, str]) -> dict[str, Any]:
    properties, required = question.get("properties", {}), question.get("required", [])
    in_path = {name for name in properties if f"{{{name}}}" in endpoint.path}
    parameters = [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in required or name in in_path,
            "schema": {key: value for key, value in schema.items() if key != "description"},
            **({"description": schema["description"]} if "description" in schema else {}),
        }
        for name, schema in properties.items()
        if name in in_path or not endpoint.acts
    ]
    answer = names.get(endpoint.answer)
    content = {
        media: _ref(answer) if media == JSON and answer else {"schema": {"type": "string"}}
        for media in media_types(endpoint)
    }
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "description": f"At most {endpoint.limit.total_seconds():g} s and {endpoint.largest} octets.",
        "parameters": parameters,
        "responses": {
            "200": _response("The answer." if not endpoint.acts else "What was done.", content),
            "default": {"$ref": "#/components/responses/Problem"},
        },
        "security": [{"token": []}] if endpoint.acts else [{}, {"token": []}],
    }
    if endpoint.acts:
        operation["parameters"].append(
            {
                "name": KEY_HEADER,
                "in": "header",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            }
        )
        body = {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: schema for name, schema in properties.items() if name not in in_path},
            "required": [name for name in required if name not in in_path],
        }
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
        if endpoint.examples:
            operation["requestBody"]["content"][JSON]["examples"] = {
                str(number): {"value": dict(example)} for number, example in enumerate(endpoint.examples, 1)
            }
    return operation


def _operation_id(endpoint: Endpoint[Any, Any]) -> str:
    words = [part.strip("{}") for part in endpoint.path.replace("-", "_").split("/") if part]
    return "_".join([endpoint.method.lower(), *words])


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(model=name)}}


def _response(description: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": dict(content)}


def _of_the_process() -> Mapping[str, Any]:
    problem = {"default": {"$ref": "#/components/responses/Problem"}}
    plain, unready = {"schema": {"type": "string"}}, {"503": _response("It is not.", {JSON: {"schema": _REASONS}})}
    ok = _response("It is.", {JSON: {"schema": {"type": "object"}}})
    return {
        "/livez": {"get": {"summary": "Whether the process is alive.", "responses": {"200": ok, **unready, **problem}}},
        "/readyz": {"get": {"summary": "Whether it can work.", "responses": {"200": ok, **unready, **problem}}},
        "/metrics": {
            "get": {
                "summary": "Metrics for Prometheus.",
                "responses": {"200": _response("All metrics.", {"text/plain": plain}), **problem},
            }
        },
        f"{PREFIX}/events": {
            "get": {
                "summary": "Server-sent events that say what has changed.",
                "responses": {"200": _response("Events.", {"text/event-stream": plain}), **problem},
                "security": [{}, {"token": []}],
            }
        },
        f"{PREFIX}/openapi.json": {
            "get": {
                "summary": "This document.",
                "responses": {
                    "200": _response("The document.", {JSON: {"schema": {"type": "object"}}}),
                    **problem,
                },
            }
        },
    }
