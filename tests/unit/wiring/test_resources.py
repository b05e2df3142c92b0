"""Errors of opening what the settings name."""

from typing import Any

import pytest

from latigo.domain.errors import ConfigurationError
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.wiring.resources import open_sinks
from latigo.wiring.sources import open_sensors

UNREADABLE = {"kind": "timeseries_api", "url": "https://api.example/v1.7", "ca_file": "/no/such/file.pem"}


def settings_of(**tables: Any) -> Settings:
    return Settings.model_validate({"models": {"projects": ["plant"]}, **tables})


async def test_of_several_tables_an_error_names_the_one_that_is_wrong() -> None:
    several = settings_of(
        sensors=[{"kind": "simulated", "tags": ["A*"]}, UNREADABLE], predictions=[{"kind": "influx"}, UNREADABLE]
    )
    single = settings_of(sensors=UNREADABLE, predictions=[UNREADABLE])

    with pytest.raises(ConfigurationError, match=r"^sensors\[1\]\.ca_file: /no/such/file.pem"):
        async with open_sensors(several, SystemClock()):
            pass
    with pytest.raises(ConfigurationError, match=r"^predictions\[1\]\.ca_file: /no/such/file.pem"):
        async with open_sinks(several, None):
            pass
    with pytest.raises(ConfigurationError, match=r"^sensors\.ca_file: "):
        async with open_sensors(single, SystemClock()):
            pass
    with pytest.raises(ConfigurationError, match=r"^predictions\.ca_file: "):
        async with open_sinks(single, None):
            pass
