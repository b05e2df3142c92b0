"""The recorded traffic of a real Gordo, and a project for the sandbox in the shape of the one that was recorded."""

import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from latigo.sandbox.gordo import ModelDefinition, ModelKind, ProjectDefinition

RECORDED = Path(__file__).parents[1] / "data" / "gordo_recorded"
INDEX: dict[str, Any] = json.loads((RECORDED / "index.json").read_text())
PAIRS: dict[str, dict[str, Any]] = {pair["id"]: pair for pair in INDEX["pairs"]}


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}.TT-{n:03d}.PV" for n in range(1, count + 1))


_MODELS = (
    ModelDefinition("ff-hourglass", _names("1902.A", 4), ModelKind.KERAS),
    ModelDefinition("pca-linear", _names("1902.B", 4), components=2),
    ModelDefinition("identity", _names("1902.B", 4), ModelKind.IDENTITY),
    ModelDefinition("lstm-ae", _names("1902.C", 3), ModelKind.LSTM_AUTOENCODER),
    ModelDefinition("lstm-forecast", _names("1902.C", 3), ModelKind.LSTM_FORECAST),
    ModelDefinition("plain-linear", _names("1902.D", 4), ModelKind.PLAIN),
    ModelDefinition("plain-transform", _names("1902.D", 4), ModelKind.TRANSFORM, components=2),
    ModelDefinition("targets", _names("1902.E", 4), targets=("1902.E.PT-100.PV", "1902.E.TT-002.PV")),
    ModelDefinition(
        "minute-filter",
        _names("1902.F", 3),
        resolution=timedelta(minutes=1),
        row_filter="(`1902.F.STATUS` > 0.5) & (`1902.F.TT-001.PV` > 0)",
        filter_tags=("1902.F.STATUS",),
        aggregation="max",
        interpolation_method="ffill",
        interpolation_limit="5T",
    ),
    ModelDefinition(
        "filter-list",
        _names("1902.G", 3),
        resolution=timedelta(minutes=30),
        row_filter=("`1902.G.STATUS` == 1", "sin(`1902.G.TT-001.PV`) < 2"),
        filter_tags=("1902.G.STATUS",),
        interpolation_limit="2H",
    ),
    ModelDefinition("smooth", _names("1902.H", 3), window=12),
    ModelDefinition("kfcv", _names("1902.H", 3), window=12),
    ModelDefinition("odd-names", ("ODD NAME 1", "ODD/NAME%2", "ODD-ÅØ-3", "odd.name.4")),
    ModelDefinition("no-thresholds", _names("1902.I", 3), ModelKind.UNVALIDATED),
    ModelDefinition("random-data", ("tag-0", "tag-1", "tag-2")),
    ModelDefinition("wide-linear", _names("1902.W", 20), components=5),
    ModelDefinition("wide-keras", _names("1902.W", 20), ModelKind.KERAS),
)
_ONLY_NEW = {"lstm-forecast", "lstm-ae", "odd-names", "kfcv", "filter-list", "wide-keras"}


def recorded_project() -> ProjectDefinition:
    """The models, revisions and traits of the recorded project; only the trained numbers are others."""
    old = (*(m for m in _MODELS if m.name not in _ONLY_NEW), ModelDefinition("retired", _names("1902.R", 2)))
    return ProjectDefinition(INDEX["project"], _MODELS, INDEX["latest_revision"], {INDEX["old_revision"]: old})


def recorded_request(pair: dict[str, Any]) -> tuple[bytes | None, dict[str, str]]:
    """Body and headers of a recorded request, the multipart form put together again."""
    headers = dict(pair["headers"])
    requested = pair["request"]
    if requested is None:
        return None, headers
    if "file" in requested:
        if requested["content_type"]:
            headers["Content-Type"] = requested["content_type"]
        return (RECORDED / requested["file"]).read_bytes(), headers
    boundary = uuid.uuid4().hex
    body = b""
    for part in requested["parts"]:
        filename = "" if part["filename"] is None else f'; filename="{part["filename"]}"'
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{part["name"]}"{filename}\r\n\r\n'.encode()
        body += (RECORDED / part["file"]).read_bytes() + b"\r\n"
    headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
    return body + f"--{boundary}--\r\n".encode(), headers


def recorded_answer(pair: dict[str, Any]) -> bytes:
    """The body of a recorded answer; empty where none was kept."""
    return (RECORDED / pair["response_file"]).read_bytes() if pair["response_file"] else b""
