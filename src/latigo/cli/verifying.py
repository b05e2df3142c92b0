"""Predict a slot again with what is opened for it."""

from latigo.domain.model import ModelRef
from latigo.executor.budget import ByteBudget
from latigo.postgres.database import Database
from latigo.providers.gordo import open_gordo
from latigo.reports.explain import Explanation
from latigo.reports.verification import Verification
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.wiring.predicting import predict_again
from latigo.wiring.resources import open_sinks
from latigo.wiring.roster import NoRoster
from latigo.wiring.sources import open_sensors


async def verify(settings: Settings, database: Database, ref: ModelRef, moment: Explanation) -> Verification:
    """Predict the slot of a moment again, and compare.

    Raises:
        LatigoError: it cannot be predicted, or no sink can be read.
    """
    async with (
        open_sinks(settings, database) as sinks,
        open_gordo(settings.models, NoRoster()) as gordo,
        open_sensors(settings, SystemClock()) as sensors,
    ):
        stores, share = [sink.store for sink in sinks], ByteBudget(settings.read_budget).share
        return await predict_again(gordo, sensors, stores, ref, moment, max_bytes=share)
