"""From an error to the way a task ends: the table of the task life cycle."""

from dataclasses import replace
from datetime import timedelta

import pytest

from latigo.domain import outcome
from latigo.domain.errors import (
    BadReading,
    CircuitOpen,
    ConfigurationError,
    Failed,
    NoData,
    PartlyDown,
    Reason,
    Rejected,
    RevisionGone,
    TimedOut,
    TooLarge,
    Unavailable,
)
from latigo.domain.outcome import Crashed, Deferred, Outcome, Retry, Settlement, Stored
from latigo.executor.outcomes import settlement_of
from tests.support.build import a_task, window
from tests.support.memory_plant import Plant

LATER = timedelta(minutes=7)


def ended(error: BaseException, *, span: tuple[str, str] = ("10:00", "10:30"), slot_seconds: int = 1800) -> Settlement:
    task = a_task(span=window(*span), slot_seconds=slot_seconds)
    progress = Plant().progress(task, "sink/b", "sink/a")
    progress.stage = "predict"
    return settlement_of(error, progress)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            Unavailable("503", downstream="gordo/plant", retry_after=LATER),
            Deferred(retry_after=LATER, downstream="gordo/plant", stored_in=["sink/a", "sink/b"]),
            id="a downstream is unavailable",
        ),
        pytest.param(
            Unavailable("401", downstream="gordo/plant", alarm=True),
            Deferred(downstream="gordo/plant", stored_in=["sink/a", "sink/b"]),
            id="a downstream refuses our credentials",
        ),
        pytest.param(
            CircuitOpen("open", downstream="sink/c"),
            Deferred(downstream="sink/c", stored_in=["sink/a", "sink/b"]),
            id="a circuit is open",
        ),
        pytest.param(
            PartlyDown("half written", downstream="sensors/files"),
            Deferred(downstream="sensors/files", stored_in=["sink/a", "sink/b"]),
            id="a part of a downstream is unavailable",
        ),
        pytest.param(
            TimedOut("60 s", downstream="sensors/influx", retry_after=LATER),
            Retry(retry_after=LATER, stored_in=["sink/a", "sink/b"]),
            id="it took too long, which is an attempt",
        ),
        pytest.param(
            Failed("500", retry_after=LATER),
            Retry(retry_after=LATER, stored_in=["sink/a", "sink/b"]),
            id="it failed for a reason of its own",
        ),
        pytest.param(
            RevisionGone("410"),
            Deferred(stale_metadata=True, stored_in=["sink/a", "sink/b"]),
            id="the revision is gone",
        ),
        pytest.param(
            Rejected("no 'x'", reason=Reason.UNKNOWN_SENSOR, tags=["x"]),
            outcome.Rejected(reason=Reason.UNKNOWN_SENSOR, tags=("x",)),
            id="the window cannot work",
        ),
        pytest.param(
            Rejected("gone", reason=Reason.MODEL_GONE, whole_model=True),
            outcome.Rejected(reason=Reason.MODEL_GONE, whole_model=True),
            id="the model cannot work",
        ),
        pytest.param(TooLarge("413"), outcome.Rejected(reason=Reason.TOO_LARGE), id="a single slot is too much"),
    ],
)
def test_an_error_says_how_its_task_ends(error: Exception, expected: Settlement):
    settlement = ended(error)

    assert not isinstance(expected, Stored | outcome.Copied | outcome.Compared)
    assert settlement == replace(expected, detail=f"predict: {error}")


@pytest.mark.parametrize(
    ("end", "slot", "expected"), [("11:00", 1800, Outcome.SPLIT), ("11:00", 3600, Outcome.REJECTED)]
)
def test_a_window_that_is_too_large_is_split_as_long_as_it_has_more_than_one_slot(
    end: str, slot: int, expected: Outcome
):
    assert ended(TooLarge("128 MB"), span=("10:00", end), slot_seconds=slot).outcome is expected


@pytest.mark.parametrize(("end", "slot", "expected"), [("11:00", 1800, Outcome.SPLIT), ("11:00", 3600, Outcome.RETRY)])
def test_a_window_with_a_reading_that_is_refused_is_split_so_that_one_slot_is_affected(
    end: str, slot: int, expected: Outcome
):
    assert ended(BadReading("line 3: 'Bad'"), span=("10:00", end), slot_seconds=slot).outcome is expected


@pytest.mark.parametrize(
    "error", [KeyError("x"), AssertionError(), ConfigurationError("key"), NoData("nobody caught it")]
)
def test_anything_else_is_a_bug_of_ours_and_parked_with_its_traceback(error: Exception):
    def here() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        here()

    settlement = ended(raised.value)

    assert isinstance(settlement, Crashed)
    assert "Traceback" in settlement.detail
    assert "in here" in settlement.detail
