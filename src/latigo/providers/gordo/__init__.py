"""Models served by Gordo, and what its responses mean for a task.

====================================================================== =================================================
response                                                               raised
====================================================================== =================================================
200 with the columns and rows that the metadata promises               nothing
200 of Gordo with other columns or rows                                `Rejected`, the whole model
no connection, cut short, 429, 502, 503, 504                           `Unavailable`, with ``Retry-After``
401, 403, 407, a redirect                                              `Unavailable`, with an alarm
any status without the header ``revision``, or with another revision;  `Unavailable`: the response is not from Gordo
200 with a body that is not Gordo's
404, 405, 500 on lists of models or revisions                          `Unavailable`
no response in time                                                    `TimedOut`, never retried
404 for a model                                                        the list is read: `Rejected` (gone), `NotThere`
410                                                                    `RevisionGone`
413, or a response beyond the limit                                    `TooLarge`
422 "not an AnomalyDetector"                                           the same body goes to ``prediction``
422 for the name; 400 with a "message": columns, missing y             `Rejected`, the whole model
400 from ``prediction`` with a Python error as its reason              `Rejected`, the window
500 from ``anomaly/prediction``                                        X goes to ``prediction`` once, for the reason
everything else                                                        `Failed`
====================================================================== =================================================

DELETE removes the file of a model from Gordo's directory for good: it is never sent.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from latigo.providers.gordo.catalogue import GordoCatalogue
from latigo.providers.gordo.client import SizeLimits, open_client
from latigo.providers.gordo.execution import GordoExecution
from latigo.providers.gordo.servers import LookUp, ReadModels
from latigo.providers.protocols import ModelRoster
from latigo.settings import GordoModels

__all__ = ["Gordo", "GordoCatalogue", "GordoExecution", "SizeLimits", "open_gordo"]


class Gordo(NamedTuple):
    """A Gordo server: which models it has, and running them."""

    catalogue: GordoCatalogue
    execution: GordoExecution


@asynccontextmanager
async def open_gordo(
    models: GordoModels,
    roster: ModelRoster,
    *,
    sizes: SizeLimits | None = None,
    read_models: ReadModels | None = None,
    look_up: LookUp | None = None,
) -> AsyncIterator[Gordo]:
    """Open a Gordo server, or several that share the models; nothing is sent before the first call.

    Args:
        models: the section of the settings.
        roster: models registered or unregistered by hand.
        sizes: smaller ones for tests.
        read_models: returns every model that is predicted, to be shared out evenly.
        look_up: returns the addresses of a host; the system's by default.
    """
    async with open_client(models, sizes or SizeLimits(), read_models, look_up) as client:
        catalogue = GordoCatalogue(client)
        yield Gordo(catalogue, GordoExecution(client, catalogue, roster))
