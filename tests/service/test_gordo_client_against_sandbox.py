"""Gordo's own client, unmodified, takes the sandbox's Gordo for a real one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import pytest_asyncio

from latigo.domain.windows import from_ns, span_ns, to_ns
from latigo.providers.simulated import Plant, synth_series
from latigo.sandbox.gordo import ModelDefinition, ModelKind, ProjectDefinition, open_sandbox_gordo
from tests.support.gordo_python import run_in_gordo
from tests.support.real_gordo import require_gordo

pytestmark = pytest.mark.real_gordo

TEN = timedelta(minutes=10)
START = datetime(2025, 12, 5, 10, tzinfo=UTC)
END = START + timedelta(hours=1)
TAGS = ("1902.B.TT-001.PV", "1902.B.TT-002.PV", "1902.B.TT-003.PV")
MODELS = {
    model.name: model
    for model in (
        ModelDefinition("anomaly", TAGS),
        ModelDefinition("targets", TAGS, targets=(TAGS[2], "1902.B.TT-009.PV")),
        ModelDefinition("lstm", TAGS, ModelKind.LSTM_AUTOENCODER),
        ModelDefinition("plain", TAGS, ModelKind.PLAIN),
        ModelDefinition(
            "filtered", TAGS, row_filter="`1902.B.STATUS` >= 0", filter_tags=("1902.B.STATUS",), asset="1902-ABC"
        ),
    )
}


Frames = Mapping[tuple[str, bool], Any]
"""What the client got, by model and whether it was by Parquet."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frames() -> Frames:
    """Every model, predicted by one process: its imports take longer than all of its work."""
    require_gordo()
    asked = [(model, parquet) for model in MODELS for parquet in (False, True)]
    async with open_sandbox_gordo(ProjectDefinition("plant-a", tuple(MODELS.values())), Plant()) as sandbox:
        requests = [
            {
                "port": urlsplit(sandbox.url).port,
                "project": "plant-a",
                "model": model,
                "start": START.isoformat(),
                "end": END.isoformat(),
                "parquet": parquet,
                "revision": None,
                "period_s": 60.0,
            }
            for model, parquet in asked
        ]
        answers = await run_in_gordo("client_predict.py", requests)
    return dict(zip(asked, answers, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_it_gets_the_same_frame_by_json_and_by_parquet(frames: Frames, name: str) -> None:
    model, json, parquet = MODELS[name], frames[name, False], frames[name, True]

    # The client reads five rows and the model's offset before the requested window, and one row at its end.
    first = START - 5 * TEN
    assert json["errors"] == parquet["errors"] == []
    assert parquet["times"] == [(first + n * TEN).isoformat() for n in range(12)]
    assert json["times"] == parquet["times"]
    groups = {group for group, _ in parquet["columns"]}
    assert {"start", "end", "model-input", "model-output"} <= groups
    assert ("total-anomaly-confidence" in groups) == (model.kind is not ModelKind.PLAIN)
    by_name = [
        {tuple(c): np.array(frame["rows"])[:, n] for n, c in enumerate(columns(frame))} for frame in (json, parquet)
    ]
    for (group, tag), values in by_name[1].items():
        # By JSON, a group without tags repeats its name as the column.
        np.testing.assert_array_equal(values, by_name[0][group, tag or group])


def columns(frame: Any) -> list[list[str]]:
    return [column for column in frame["columns"] if column[0] not in {"start", "end"}]


def test_it_sends_what_the_plant_reads(frames: Frames) -> None:
    frame = frames["anomaly", True]

    sent = np.array(frame["rows"])[:, [column[0] == "model-input" for column in columns(frame)]]

    for row, label in enumerate(frame["times"][:-1]):  # the last row is filled
        start = to_ns(datetime.fromisoformat(label))
        for place, tag in enumerate(TAGS):
            readings = synth_series(tag, start, start + span_ns(TEN))
            assert from_ns(start).isoformat() == label
            assert sent[row, place] == pytest.approx(readings.values.mean(), rel=1e-12)
