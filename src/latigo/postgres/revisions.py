"""How a schema of the ledger stands to a program; pure.

Revisions are named ``NNNN``. Those of one thousand only add to each other, so that a program that is older than the
schema works with it as before; a revision that older programs could not work with begins the next thousand.
"""

from enum import Enum, auto
from importlib import resources

from latigo.domain.errors import ConfigurationError


class Standing(Enum):
    """How a schema stands to a program."""

    OLDER = auto()  #: or there is none
    SAME = auto()
    NEWER = auto()  #: and has everything that the program needs


def standing(found: str | None, known: str) -> Standing:
    """How the schema ``found`` stands to a program that knows revisions up to ``known``.

    Raises:
        ConfigurationError: it is so much newer that the program cannot work with it.
    """
    if found is None or found < known:
        return Standing.OLDER
    if found == known:
        return Standing.SAME
    if found[0] == known[0]:
        return Standing.NEWER
    raise ConfigurationError(
        f"the schema of the ledger is {found}, of a newer Latigo, and this one knows it up to {known} and cannot work"
        " with it: update this program"
    )


def newest_revision() -> str:
    """The newest revision that this version of Latigo knows; files are named ``NNNN_what.py``."""
    names = (each.name for each in resources.files("latigo.postgres.migrations.versions").iterdir())
    return max(name.split("_")[0] for name in names if name[:4].isdigit())
