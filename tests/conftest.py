"""Fixtures that any test may use."""

import gc
import signal
from collections.abc import Generator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from latigo.runtime.collector import collector_paused
from latigo.runtime.redaction import know
from tests.support.influxd import influx_database, influx_server, influx_servers
from tests.support.ledgers import ledger_template, ledger_url, ledgers
from tests.support.postgres import database_url, postgres_server

__all__ = [
    "database_url",
    "influx_database",
    "influx_server",
    "influx_servers",
    "ledger_template",
    "ledger_url",
    "ledgers",
    "no_known_secrets",
    "postgres_server",
]


@pytest.fixture(autouse=True)
def no_known_secrets() -> Iterator[None]:
    """Forget the secrets of a test's settings: those of one test may be words of another."""
    yield
    know(())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the collector of cyclic garbage, and keep it from what was made then, which stays."""
    with collector_paused():
        result = yield
        gc.freeze()
        return result


# How long an example takes says more of the machine than of the code. All else stays as it is, here or in CI.
settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
# Of `make check`: a fifth of the examples, also where a test asks for a number of its own (tests/support/examples.py).
settings.register_profile("quick", settings(), max_examples=20)

# What a test logs is shown if it fails: tracebacks in colours, with all variables, take longer than the test.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# A shell that starts tests in the background has SIGINT ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# As Ctrl-C does: fixtures end what they have started, and remove what fills the memory.
signal.signal(signal.SIGTERM, signal.default_int_handler)
