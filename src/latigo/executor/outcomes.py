"""Mapping of errors to outcomes of tasks."""

import traceback

from latigo.domain import outcome
from latigo.domain.errors import BadReading, Failed, Reason, Rejected, RevisionGone, TimedOut, TooLarge, Unavailable
from latigo.domain.outcome import Settlement
from latigo.executor.progress import Progress
from latigo.runtime.redaction import redact

_LONGEST_TRACEBACK = 16_384  #: characters, of its end


def settlement_of(error: BaseException, progress: Progress) -> Settlement:
    """Return the settlement of a task that raised ``error``."""
    detail = f"{progress.stage}: {error}"
    stored_in = sorted(progress.stored_in)
    may_arrive = progress.guard.gave_up
    match error:
        case RevisionGone():
            return outcome.Deferred(detail, stored_in=stored_in, stale_metadata=True)
        case BadReading() if progress.task.window.length.total_seconds() > progress.task.slot_seconds:
            return outcome.Split(detail)
        case TooLarge():
            if progress.task.window.length.total_seconds() > progress.task.slot_seconds:
                return outcome.Split(detail)
            return outcome.Rejected(Reason.TOO_LARGE, detail)
        case Rejected():
            return outcome.Rejected(error.reason, detail, error.whole_model, error.tags)
        case TimedOut():
            return outcome.Retry(detail, error.retry_after, stored_in, may_arrive)
        case Unavailable():
            # A time-out of a sink is no attempt where other tasks share it, and what was sent may arrive all the same.
            return outcome.Deferred(detail, error.downstream, error.retry_after, stored_in, may_arrive=may_arrive)
        case Failed():
            return outcome.Retry(detail, error.retry_after, stored_in)
        case _:
            trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]
            return outcome.Crashed(redact(trace), may_arrive)
