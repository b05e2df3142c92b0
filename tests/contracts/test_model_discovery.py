"""What names the projects of ours keeps what `latigo.testing` asks of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from latigo.providers.metadata_api import open_metadata_api
from latigo.providers.protocols import ModelDiscovery
from latigo.runtime.clock import SystemClock
from latigo.sandbox.timeseries import open_sandbox_timeseries
from latigo.settings import MetadataApiSettings
from latigo.testing import ModelDiscoveryContract, OpenDiscovery
from latigo.testing.models import Models


class TestMetadataApi(ModelDiscoveryContract):
    @pytest.fixture
    def open_discovery(self) -> OpenDiscovery:
        @asynccontextmanager
        async def on(models: Models) -> AsyncIterator[ModelDiscovery]:
            async with open_sandbox_timeseries(projects=list(models)) as server:
                section = MetadataApiSettings(url=server.metadata_url, token=SecretStr("a-token"))
                async with open_metadata_api(section, SystemClock()) as api:
                    yield api

        return on
