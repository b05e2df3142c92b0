"""Validate Kubernetes resources on standard input against published schemas; print what was found as JSON.

    kubectl kustomize FOLDER | python validate.py VERSION...

VERSION is one of Kubernetes, such as 1.37. What is built in is validated against the schemas of `kubernetes-validate`,
strictly; custom resources against the models of the packages below, which take what they do not know, so that a
resource also has to come back from its model as it was.

The output has a list ``resources`` with ``name`` (KIND/NAME), ``checked_by`` (null: nothing knows this kind) and
``errors``. The exit code is 1 where there are any.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor
from pydantic import BaseModel, ValidationError

CUSTOM: Mapping[tuple[str, str], type[BaseModel]] = {
    ("keda.sh/v1alpha1", "ScaledObject"): ScaledObject,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRule,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ServiceMonitor,
}


def validate(resource: Mapping[str, Any], versions: Sequence[str]) -> dict[str, Any]:
    """Return what was found for one resource."""
    kind = (resource["apiVersion"], resource["kind"])
    name = f"{resource['kind']}/{resource['metadata']['name']}"
    if model := CUSTOM.get(kind):
        return {"name": name, "checked_by": model.__module__, "errors": list(_errors_of_model(resource, model))}
    try:
        errors = [f"{version}: {error}" for version in versions for error in _errors_of_schema(resource, version)]
    except kubernetes_validate.SchemaNotFoundError:
        return {"name": name, "checked_by": None, "errors": []}
    return {"name": name, "checked_by": "kubernetes-validate", "errors": errors}


def _errors_of_schema(resource: Mapping[str, Any], version: str) -> Iterator[str]:
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


def _errors_of_model(resource: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    try:
        read = model.model_validate(resource)
    except ValidationError as error:
        yield str(error)
        return
    kept = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    yield from _lost("", resource, kept)


def _lost(where: str, given: Any, kept: Any) -> Iterator[str]:
    """Yield the keys of what was given that a model has dropped."""
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for key, value in given.items():
            if key in kept:
                yield from _lost(f"{where}.{key}", value, kept[key])
            else:
                yield f"{where}.{key}: is not known"
    elif isinstance(given, list) and isinstance(kept, list):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _lost(f"{where}[{number}]", one, other)
    elif given != kept:
        yield f"{where}: {given!r} is read as {kept!r}"


if __name__ == "__main__":
    found = [validate(resource, sys.argv[1:]) for resource in yaml.safe_load_all(sys.stdin) if resource]
    json.dump({"resources": found}, sys.stdout)
    sys.exit(any(each["errors"] for each in found))
