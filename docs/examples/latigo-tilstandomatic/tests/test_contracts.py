"""The plug-ins keep what Latigo asks of a source, a sink and a list of models."""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from latigo_tilstandomatic import Options, create_plant, open_predictions, open_sensors

from latigo.domain.series import Readings
from latigo.testing import FencedPredictionStoreContract, OpenPredictions, OpenSensors, SensorSourceContract
from latigo.wiring.resources import SensorSource


class TestSensors(SensorSourceContract):
    @pytest.fixture
    def open_sensors(self, tmp_path: Path) -> OpenSensors:
        def on(readings: Readings) -> AbstractAsyncContextManager[SensorSource]:
            create_plant(tmp_path / "plant.sqlite", tags=list(readings))
            with closing(sqlite3.connect(tmp_path / "plant.sqlite")) as file, file:
                for tag, series in readings.items():
                    points = zip(series.times.tolist(), series.values.tolist(), strict=True)
                    file.executemany("INSERT INTO readings VALUES (?, ?, ?)", ((tag, *point) for point in points))
            return open_sensors(Options(path=tmp_path / "plant.sqlite"))

        return on


class TestPredictions(FencedPredictionStoreContract):
    @pytest.fixture
    def open_predictions(self, tmp_path: Path) -> OpenPredictions:
        create_plant(tmp_path / "plant.sqlite")
        return lambda: open_predictions(Options(path=tmp_path / "plant.sqlite"))
