"""Names that people type: which of the known ones is nearest; pure."""

import heapq
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher

from latigo.domain.errors import UnknownName

#: Characters of a name that are compared, or shown.
_LONGEST = 200
#: Names that share most with the given one, which alone are compared in full: that is quadratic in their length.
_COMPARED = 50
_PATTERN = frozenset("*?[")


def unknown_name(kind: str, name: str, known: Collection[str], *, none: str = "", note: str = "") -> UnknownName:
    """Return the error for a name that is not known.

    Args:
        kind: of what: ``project``, ``model`` or ``sensor``.
        name: as it was given.
        known: the names that there are.
        none: what to do where there are none.
        note: a further clause of the message.
    """
    nearest = nearest_name(name, known)
    text = f"{printable(name)}: unknown {kind}; "
    text += f"the nearest known one is {printable(nearest)}" if nearest is not None else f"no {kind} is known yet{none}"
    if _PATTERN & set(name):
        text += "; names are exact here, not patterns"
    return UnknownName(f"{text}; {note}" if note else text)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like ``name``; None where none is known. Linear in their number."""
    wanted = _folded(name)
    parts = _parts(wanted)
    likely = heapq.nlargest(_COMPARED, sorted(known), key=lambda each: _shared(parts, each))
    return max(likely, key=lambda each: SequenceMatcher(None, _folded(each), wanted).ratio(), default=None)


def printable(name: str) -> str:
    """Return a name as it can be shown in one line: cut, and quoted where it is empty or not plain text."""
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
    return shown if shown.isprintable() and shown.strip() else ascii(shown)


def _folded(name: str) -> str:
    return name.strip().strip("/")[:_LONGEST].casefold()


def _parts(name: str) -> frozenset[str]:
    padded = f" {name} "
    return frozenset(padded[at : at + 2] for at in range(len(padded) - 1))


def _shared(parts: frozenset[str], name: str) -> float:
    """Return how many pairs of letters two names share, by how many there are in both."""
    others = _parts(_folded(name))
    return 2 * len(parts & others) / (len(parts) + len(others))
