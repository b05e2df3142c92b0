"""What Latigo does about a cause of failure by itself, and what a person does."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from latigo.domain.errors import Reason
from latigo.domain.outcome import NO_FINITE_VALUES, NOT_STORED
from latigo.reports.choices import NO_READINGS


class Advice(NamedTuple):
    """Two sentences without an end, for tables."""

    latigo: str  #: what happens by itself
    person: str  #: what helps


_UNTIL_REBUILT = "It tries again when the model has a new revision"
_RETRY = "then release it (latigo retry)"

ADVICE: Mapping[str, Advice] = {
    Reason.UNKNOWN_SENSOR: Advice(
        "It tries the newest slot of each model; when the source has the sensors, all that is missing is predicted",
        "Correct the sensor's name in the model, or add the sensor to the source",
    ),
    NO_READINGS: Advice(
        "It tries the newest slot of each model; when readings return, slots that lacked them are rechecked",
        "Repair the sensor, or its way into the source",
    ),
    Reason.MODEL_GONE: Advice(
        "It goes on when the model server lists the model again",
        "Build the model again, or exclude it in models.exclude",
    ),
    Reason.BAD_METADATA: Advice(_UNTIL_REBUILT, "Rebuild the model without what the detail names"),
    Reason.COLUMNS_REFUSED: Advice(_UNTIL_REBUILT, "Rebuild the model: its columns and its metadata differ"),
    Reason.VALUES_REFUSED: Advice(
        f"Newer slots are tried as usual. {_UNTIL_REBUILT}", f"Mend the readings or the model, {_RETRY}"
    ),
    Reason.WRITE_REFUSED: Advice("Newer slots are tried as usual", f"Mend what the sink refuses, {_RETRY}"),
    Reason.TOO_LARGE: Advice(
        "Newer slots are tried as usual", f"Raise sensors.read_budget or the server's limit of a request, {_RETRY}"
    ),
    Reason.ATTEMPTS: Advice(
        "Newer slots are tried as usual; these windows had all their attempts", f"Mend what the detail names, {_RETRY}"
    ),
    Reason.CRASHED: Advice("It tries again with another version of Latigo", "Report the traceback"),
    Reason.TASK_TOO_LARGE: Advice(_UNTIL_REBUILT, f"Raise the message size of the event hub, {_RETRY}"),
    Reason.KILLS_PROCESS: Advice(
        "Newer slots are tried, each alone in its process", f"Find out from the log why processes end, {_RETRY}"
    ),
    "retry": Advice("It tries again by itself, after longer and longer pauses", "Nothing, unless it lasts"),
    NO_FINITE_VALUES: Advice(
        "It rechecks the slots after 1 h, 6 h and 24 h, and when the model answers values again", "Mend the model"
    ),
    NOT_STORED: Advice(
        "It rechecks the slots after 1 h, 6 h and 24 h, and when the sink keeps rows again", "Mend the sink"
    ),
    "unreadable": Advice("It plans again whatever the message was about", "Find out who else writes to the event hub"),
    "too_new": Advice("It publishes the task again, in a form that all executors read", "Update the executors"),
}

#: Why models get no predictions, as the end of a sentence.
PARKED_BECAUSE: Mapping[str, str] = {
    Reason.MODEL_GONE: "the model server lists no such model any more",
    Reason.BAD_METADATA: "the metadata cannot be used",
    Reason.UNKNOWN_SENSOR: "no source has a sensor that is read",
    Reason.COLUMNS_REFUSED: "the model expects other columns than its metadata names",
    Reason.VALUES_REFUSED: "the model refuses the values of the sensors",
    Reason.WRITE_REFUSED: "a sink refuses the predictions",
    Reason.TOO_LARGE: "a single slot is too large to be read or sent",
    Reason.ATTEMPTS: "all attempts have failed",
    Reason.CRASHED: "Latigo crashed on the task",
    Reason.TASK_TOO_LARGE: "the task is too large for the task queue",
    Reason.KILLS_PROCESS: "every process that started the task died",
}


def parked_because(reason: str, sensor: str | None = None) -> str:
    """Return why models are parked, as the end of a sentence; ``sensor`` is the one that all of them lack."""
    if reason == Reason.UNKNOWN_SENSOR and sensor:
        return f"no source has the sensor {sensor}"
    because = PARKED_BECAUSE.get(reason, f"parked as {reason}")
    return f"{because} (sensor {sensor})" if sensor else because


def advice_for(reason: str) -> Advice:
    """Return the advice for a reason; of one that a newer Latigo has recorded, none."""
    return ADVICE.get(reason, Advice("", ""))


def with_tags(reason: str, tags: Sequence[str]) -> str:
    """Return a reason with the first of the tags that it is about."""
    more = f" and {len(tags) - 1} more" if len(tags) > 1 else ""
    words = reason.replace("_", " ")
    return f"{words}: {tags[0]}{more}" if tags else words
