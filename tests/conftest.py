"""Fixtures that any test may use."""

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
    "postgres_server",
]
