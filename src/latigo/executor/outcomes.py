"""From an error to the way a task ends. The table of the design, in one place."""

import traceback

from latigo.domain.errors import Failed, Reason, Rejected, RevisionGone, TimedOut, TooLarge, Unavailable
from latigo.domain.outcome import Outcome, Settlement
from latigo.executor.pipeline import Journey


def settlement_of(error: BaseException, journey: Journey) -> Settlement:
    """How a task ends that raised ``error``."""
    detail = f"{journey.stage}: {error}"
    stored_in = sorted(journey.stored_in)
    match error:
        case RevisionGone():
            return Settlement(Outcome.DEFERRED, detail=detail, stored_in=stored_in, stale_metadata=True)
        case TooLarge():
            if journey.task.window.length.total_seconds() > journey.task.slot_seconds:
                return Settlement(Outcome.SPLIT, detail=detail)
            return Settlement(Outcome.REJECTED, detail=detail, reason=Reason.TOO_LARGE)
        case Rejected():
            return Settlement(Outcome.REJECTED, detail=detail, reason=error.reason, whole_model=error.whole_model)
        case TimedOut():
            return Settlement(Outcome.RETRY, detail=detail, stored_in=stored_in, retry_after=error.retry_after)
        case Unavailable():
            return Settlement(
                Outcome.DEFERRED,
                detail=detail,
                stored_in=stored_in,
                retry_after=error.retry_after,
                downstream=error.downstream,
            )
        case Failed():
            return Settlement(Outcome.RETRY, detail=detail, stored_in=stored_in, retry_after=error.retry_after)
        case _:
            trace = "".join(traceback.format_exception(error))
            return Settlement(Outcome.CRASHED, detail=trace, reason=Reason.CRASHED)
