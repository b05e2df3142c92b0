"""What the API answers from, without what a test does not need."""

from datetime import timedelta
from typing import Any, cast

from latigo.postgres.database import Database
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.web.api.context import Context


def context_without_ledger() -> Context:
    """Return a context whose ledger may not be used."""
    nothing: Any = None
    return Context(Database(cast("Any", nothing), "ledger", timedelta(seconds=1)), Settings(), SystemClock())
