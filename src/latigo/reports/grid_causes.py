"""Why models lack predictions, from what was read for a grid. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.circuits import System, circuit_name
from latigo.reports.advice import parked_because, with_tags
from latigo.reports.grid_cells import Axis, State

#: Of exceptions, by the ledger's names.
EXCEPTED: Final = {"absent": State.ABSENT, "short": State.SHORT, "provisional": State.PROVISIONAL}
_MOST_TEXT: Final = 200


class Read(NamedTuple):
    """What was read of the ledger, as it was sent."""

    axis: Axis
    at: datetime
    models: Sequence[Any]
    lacking: Sequence[Any]
    exceptions: Sequence[Any]
    parked: Sequence[Any]
    out: Sequence[Any]
    circuits: Sequence[Any]
    workers: Any
    covered: Mapping[int, bytes]
    expired: Mapping[int, bytes]


class Causes:
    """Why cells are in a state that lacks predictions: by row and state, a number of a text."""

    def __init__(self, rows: int) -> None:
        self.texts: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}
        self.by_state: dict[State, npt.NDArray[np.int32]] = {}
        self._rows = rows

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Causes) or self.texts != other.texts or self.by_state.keys() != other.by_state.keys():
            return False
        return all(np.array_equal(rows, other.by_state[state]) for state, rows in self.by_state.items())

    __hash__ = None  # type: ignore[assignment] # it changes

    def add(self, state: State, row: int, text: str) -> None:
        """Name the cause of a state of a row; the last one counts."""
        of_rows = self.by_state.get(state)
        if of_rows is None:
            of_rows = self.by_state[state] = np.zeros(self._rows, np.int32)
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        of_rows[row] = number

    def of(self, state: State, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the numbers of the texts for this state of these rows; 0: not known."""
        of_rows = self.by_state.get(state)
        return np.zeros(len(rows), np.int32) if of_rows is None else of_rows[rows]

    def text(self, state: State, row: int) -> str:
        """Return the cause of a state of a row; empty: not known."""
        of_rows = self.by_state.get(state)
        return "" if of_rows is None else self.texts[int(of_rows[row])]


def causes_of(read: Read, row_of: Mapping[int, int]) -> Causes:
    """Return the causes of what models lack; where there are several for a state, the newest.

    Args:
        read: what was read.
        row_of: the row of each model, by id.
    """
    causes = Causes(len(read.models))
    why_missing = _why_missing(read)
    for row, model in enumerate(read.models):
        causes.add(State.MISSING, row, why_missing(model))
    for id_, state, text in _of_models(read):
        if id_ in row_of:
            causes.add(state, row_of[id_], text)
    return causes


def _of_models(read: Read) -> Iterator[tuple[int, State, str]]:
    for row in read.out:
        if row["waits"]:
            yield row["model_id"], State.MISSING, _why_waiting(row["detail"][:_MOST_TEXT])
    for row in read.lacking:
        yield row["model_id"], State.MISSING, f"not yet copied to {row['sink']}"
    for row in read.exceptions:
        yield row["model_id"], EXCEPTED[row["state"]], with_tags(row["reason"], row["tags"])
    for row in read.parked:
        yield row["model_id"], State.PARKED, _why_parked(row["reason"], row["tags"])


def _why_waiting(failed: str) -> str:
    return f"waits for another attempt: {failed}" if failed else "waits for its turn, or for the end of a pause"


def _why_parked(reason: str, tags: Sequence[str]) -> str:
    return with_tags(parked_because(reason), tags) if len(tags) > 1 else parked_because(reason, *tags)


def _why_missing(read: Read) -> Callable[[Any], str]:
    """Return what says why a model lacks what it lacks, as far as it is known without its tasks."""
    opened = {row["downstream"] for row in read.circuits}
    other = next((each for each in sorted(opened) if not each.startswith(f"{System.MODELS}/")), "")
    rest = "waits for its turn"
    if not read.workers["planner"]:
        rest = "no scheduler plans"
    elif not read.workers["executors"]:
        rest = "no executor runs"
    elif other:
        rest = f"{other} is unavailable"

    def why(model: Any) -> str:
        own = circuit_name(System.MODELS, model["project"]) if opened else ""
        if own in opened:
            return f"{own} is unavailable"
        return f"{model['held_for']} is unavailable" if model["held_for"] else rest

    return why
