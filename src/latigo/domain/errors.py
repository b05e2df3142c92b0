"""Every error that Latigo raises on purpose, classified by what to do next.

::

    LatigoError
    x ConfigurationError      refuse to start; names the key
      + MissingExtra          the same; names the extra and how to install it
      + NoConfiguration       the same; there is none, and the message tells how to write one
    x Unavailable             a downstream is unavailable: wait for it; not an attempt
      + TimedOut              no answer in time: an attempt, unless other models time out as well
      + CircuitOpen           it was unavailable a moment ago, so it was not called
      + PartlyDown            it answers, but a part that this task needs does not: not counted by its circuit
    x Failed                  may pass: try again later
      + BadReading            the same, for one reading: ask for the slots of the window one by one
      + NotThere              the same; another server of the same models may have it
    x RevisionGone            look up the revision again
    x TooLarge                request less at once
    x Rejected                cannot work as it stands: park it
    x NoData                  nothing to predict from; a result rather than a failure
    x Misused                 a request that cannot be meant as it was made
      + UnknownName           it names a project, model or sensor that does not exist; names the nearest known one
      + SelectionChanged      it was meant for another selection than there is now

Adapters translate the errors of their drivers into these and keep the cause.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from latigo.runtime.redaction import excerpt

_LONGEST = 16_384  #: characters of a message


class LatigoError(Exception):
    """Base of the errors that Latigo raises on purpose.

    Its message is redacted here, so that no secret that a peer returned reaches log, database, API or terminal.
    """

    def __init__(self, *parts: object) -> None:
        super().__init__(*(excerpt(part, _LONGEST) if isinstance(part, str) else part for part in parts))


class ConfigurationError(LatigoError):
    """The configuration is invalid; the message names the key."""


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed.

    Args:
        needed_by: settings key or option that needs it.
        extra: its name in the package metadata.
        detail: further text of the message.
    """

    def __init__(self, needed_by: str, extra: str, *, detail: str = "") -> None:
        super().__init__(
            f'{needed_by} needs the extra "{extra}"{detail}. Install it from where Latigo was installed: '
            f'pip install "PATH[{extra}]" for a checkout or wheel at PATH, '
            f'pip install "gordo-latigo[{extra}] @ git+URL" for a repository at URL'
        )


class NoConfiguration(ConfigurationError):
    """There is no configuration at all."""


class Misused(LatigoError):
    """A request cannot be meant as it was made; the message names what is missing from it."""


class UnknownName(Misused):
    """A project, model or sensor that is not known; the message names the nearest known one, see `domain.names`."""


class SelectionChanged(Misused):
    """What is selected differs from what a dry run has shown; nothing was changed."""


class Unavailable(LatigoError):
    """A downstream is unreachable or refuses calls for now; counted by its circuit.

    Args:
        message: what was attempted and what came back, without secrets.
        downstream: name of the circuit, such as ``gordo/plant-a``, ``sensors/influx``, ``sink/postgres``.
        retry_after: the wait that the downstream requested, if it did.
        alarm: an operator has to act (refused credentials); waiting does not help.
    """

    def __init__(
        self, message: str, *, downstream: str, retry_after: timedelta | None = None, alarm: bool = False
    ) -> None:
        super().__init__(message)
        self.downstream = downstream
        self.retry_after = retry_after
        self.alarm = alarm

    def at(self, downstream: str) -> "Unavailable":
        """Return the same error of another downstream."""
        return type(self)(str(self), downstream=downstream, retry_after=self.retry_after, alarm=self.alarm)


class TimedOut(Unavailable):
    """A downstream did not answer within the time limit."""


class CircuitOpen(Unavailable):
    """A downstream was not called, because its circuit is open."""


class PartlyDown(Unavailable):
    """A downstream answers, but a part of it that this task needs does not; other tasks may not need that part."""


class Failed(LatigoError):
    """A call failed for a reason of its own that may pass."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadReading(Failed):
    """A reading cannot be used, and the settings refuse the window for it; its other slots may work."""


class NotThere(Failed):
    """The model server lists a model that it does not have."""


class RevisionGone(LatigoError):
    """The model server no longer has the requested revision."""


class TooLarge(LatigoError):
    """The window is too large: its readings exceed the byte budget, or a request was refused for its size."""


class Reason(StrEnum):
    """Why a window or model is parked."""

    MODEL_GONE = "model_gone"  #: the model server no longer lists the model
    BAD_METADATA = "bad_metadata"  #: its metadata is invalid, or needs something that Latigo does not support
    UNKNOWN_SENSOR = "unknown_sensor"  #: the sensor source does not know a tag
    COLUMNS_REFUSED = "columns_refused"  #: the model expects other columns than its metadata names
    VALUES_REFUSED = "values_refused"  #: the model refuses these values
    WRITE_REFUSED = "write_refused"  #: a sink refuses the predictions permanently
    TOO_LARGE = "too_large"  #: a single slot is too large
    ATTEMPTS = "attempts"  #: the maximum number of attempts has failed
    CRASHED = "crashed"  #: a bug of ours
    TASK_TOO_LARGE = "task_too_large"  #: the task exceeds the largest message of the task queue
    KILLS_PROCESS = "kills_process"  #: every process that started the task died


class Rejected(LatigoError):
    """A task cannot work as it stands.

    Args:
        message: what is wrong, naming the tag, column or key.
        reason: kind of problem; there is one parked row per model, revision and reason.
        whole_model: no window of this model can work, so the others are not tried.
        tags: what it is about, if that is the cause: all of them, however many the message names.
    """

    def __init__(self, message: str, *, reason: Reason, whole_model: bool = False, tags: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.whole_model = whole_model
        self.tags = tuple(tags)


class NoData(LatigoError):
    """There are no rows to predict from.

    Args:
        message: why, in a sentence.
        tags: the tags without data, if that is the cause.
    """

    def __init__(self, message: str, *, tags: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tags = tuple(tags)


def describe_tags(tags: Sequence[str] | Mapping[str, object], most: int = 5) -> str:
    """Name the first few tags and count the rest, to keep messages short."""
    names = list(tags)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
