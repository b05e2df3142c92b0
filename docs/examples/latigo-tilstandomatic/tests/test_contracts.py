"""The plug-ins keep what Latigo asks of a source, a sink and a list of models."""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from latigo_tilstandomatic import Options, create_plant, open_models, open_predictions, open_sensors

from latigo.domain.series import Readings
from latigo.providers.protocols import ModelDiscovery, SensorSource
from latigo.testing import (
    FencedPredictionStoreContract,
    ModelDiscoveryContract,
    OpenDiscovery,
    OpenPredictions,
    OpenSensors,
    SensorSourceContract,
)
from latigo.testing.models import Models


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


class TestModels(ModelDiscoveryContract):
    @pytest.fixture
    def open_discovery(self, tmp_path: Path) -> OpenDiscovery:
        def on(models: Models) -> AbstractAsyncContextManager[ModelDiscovery]:
            pairs = [(project, name) for project, names in models.items() for name in names]
            create_plant(tmp_path / "plant.sqlite", models=pairs)
            return open_models(Options(path=tmp_path / "plant.sqlite"))

        return on


class TestPredictions(FencedPredictionStoreContract):
    @pytest.fixture
    def open_predictions(self, tmp_path: Path) -> OpenPredictions:
        create_plant(tmp_path / "plant.sqlite")
        return lambda: open_predictions(Options(path=tmp_path / "plant.sqlite"))
