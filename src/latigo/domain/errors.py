"""Every error that Latigo raises on purpose, sorted by what to do next.

::

    LatigoError
    x ConfigurationError      refuse to start; names the key
      + MissingExtra          the same; names the extra, and how to install it
    x Unavailable             a downstream is away or refuses for now: wait for it, not an attempt
      + TimedOut              it took too long: an attempt, unless others time out as well
      + CircuitOpen           it was away a moment ago, so it was not even asked
      + PartlyDown              it answers, and a part of it that is needed here does not: its circuit does not count it
    x Failed                  may pass by itself: try again later
    x RevisionGone            look the revision up again
    x TooLarge                ask for less at once
    x Rejected                cannot work as it stands: park it
    x NoData                  nothing to predict from; an answer rather than a failure

Adapters translate what their drivers raise into these, at the seam, and keep the cause.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum


class LatigoError(Exception):
    """Anything that Latigo raises on purpose."""


class ConfigurationError(LatigoError):
    """The configuration cannot be used as it is; the message names the key."""


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed.

    Args:
        needed_by: settings key or option that needs it.
        extra: its name in the package metadata.
        detail: what else the message has to say.
    """

    def __init__(self, needed_by: str, extra: str, *, detail: str = "") -> None:
        super().__init__(
            f'{needed_by} needs the extra "{extra}"{detail}. Install it from where Latigo was installed: '
            f'pip install "PATH[{extra}]" for a checkout or wheel at PATH, '
            f'pip install "gordo-latigo[{extra}] @ git+URL" for a repository at URL'
        )


class Unavailable(LatigoError):
    """A downstream is away, or refuses for now; counts for its circuit.

    Args:
        message: what was being done and what came back, without secrets.
        downstream: whose circuit it counts for, such as ``gordo/plant-a``, ``sensors/influx``, ``sink/postgres``.
        retry_after: how long it asked us to stay away, where it did.
        alarm: an operator has to act (refused credentials), waiting alone does not help.
    """

    def __init__(
        self, message: str, *, downstream: str, retry_after: timedelta | None = None, alarm: bool = False
    ) -> None:
        super().__init__(message)
        self.downstream = downstream
        self.retry_after = retry_after
        self.alarm = alarm


class TimedOut(Unavailable):
    """A downstream did not answer within the time limit."""


class CircuitOpen(Unavailable):
    """A downstream was not called, because it is believed to be away."""


class PartlyDown(Unavailable):
    """A downstream is there, and a part of it that this task needs is not; others may have no need of it."""


class Failed(LatigoError):
    """It failed for a reason of its own that may pass."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RevisionGone(LatigoError):
    """The model server no longer has the revision that was asked for."""


class TooLarge(LatigoError):
    """The window is too much at once: its readings exceed the byte budget, or a request was refused for its size."""


class Reason(StrEnum):
    """Why something is parked."""

    MODEL_GONE = "model_gone"  #: the model server does not list the model any more
    BAD_METADATA = "bad_metadata"  #: its metadata cannot be understood, or asks for what nobody can do
    UNKNOWN_SENSOR = "unknown_sensor"  #: the sensor source has never heard of a tag
    COLUMNS_REFUSED = "columns_refused"  #: the model expects other columns than its metadata says
    VALUES_REFUSED = "values_refused"  #: the model refuses these values
    WRITE_REFUSED = "write_refused"  #: a sink refuses the predictions for good
    TOO_LARGE = "too_large"  #: a single slot is already too much
    ATTEMPTS = "attempts"  #: it failed as often as it may
    CRASHED = "crashed"  #: a bug of ours
    TASK_TOO_LARGE = "task_too_large"  #: no message of the task queue may be as large
    KILLS_PROCESS = "kills_process"  #: every process that started it died


class Rejected(LatigoError):
    """It cannot work as it stands.

    Args:
        message: what is wrong, naming the tag, column or key.
        reason: the kind of it; parking has one row per model, revision and reason.
        whole_model: no window of this model can work, so that trying the others is of no use.
    """

    def __init__(self, message: str, *, reason: Reason, whole_model: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.whole_model = whole_model


class NoData(LatigoError):
    """There are no rows to predict from.

    Args:
        message: why, in a sentence.
        tags: the tags that are to blame, as far as it is theirs.
    """

    def __init__(self, message: str, *, tags: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tags = tuple(tags)


def describe_tags(tags: Sequence[str] | Mapping[str, object], most: int = 5) -> str:
    """Name a few tags and count the rest, for messages that stay short."""
    names = list(tags)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
