"""Every prediction store of ours keeps what `latigo.testing` asks of one."""

from functools import partial

import pytest

from latigo.providers.protocols import PredictionStorageProvider
from latigo.testing import FencedPredictionStoreContract, OpenPredictions, PredictionStoreContract
from tests.support.prediction_stores import FENCED_STORES, PREDICTION_STORES


class Readable:
    """What our own stores answer besides."""

    async def test_a_store_that_can_be_read_answers_so(self, store: PredictionStorageProvider):
        assert await store.ping(["plant-a"]) == "can be read"


class TestStoresThatDoNotCompareWriters(Readable, PredictionStoreContract):
    @pytest.fixture(params=sorted(PREDICTION_STORES.keys() - FENCED_STORES))
    def open_predictions(self, request: pytest.FixtureRequest) -> OpenPredictions:
        return partial(PREDICTION_STORES[request.param], request)


class TestStoresThatCompareWriters(Readable, FencedPredictionStoreContract):
    @pytest.fixture(params=sorted(FENCED_STORES))
    def open_predictions(self, request: pytest.FixtureRequest) -> OpenPredictions:
        return partial(PREDICTION_STORES[request.param], request)
