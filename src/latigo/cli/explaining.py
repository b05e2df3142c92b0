"""What ``latigo explain --verify`` does: the window is predicted again, and written nowhere."""

from latigo.cli.verifying import verify
from latigo.domain.model import ModelRef
from latigo.reports.explain import Explanation
from latigo.reports.verification import Verification
from latigo.runtime.event_loop import run_async
from latigo.settings import Settings
from latigo.wiring.ledger import open_ledger


def verified(settings: Settings, ref: ModelRef, explanation: Explanation) -> Verification:
    """Return how a moment of a model compares with predicting it again.

    Raises:
        LatigoError: it cannot be predicted again, or no sink can be read.
    """

    async def work() -> Verification:
        async with open_ledger(settings) as database:
            return await verify(settings, database, ref, explanation)

    return run_async(work)
