"""Compatibility of a schema with a program; pure.

Revisions are named ``NNNN``. Those of one thousand only add to each other, so that a program that is older than the
schema works with it as before; a revision that older programs could not work with begins the next thousand.
"""

from enum import Enum, auto
from importlib import resources

from latigo.domain.errors import ConfigurationError


class SchemaComparison(Enum):
    """A schema, compared with what a program knows."""

    OLDER = auto()  #: or missing
    SAME = auto()
    NEWER = auto()  #: and has everything that the program needs


def compare_schema(revision: str | None, known: str) -> SchemaComparison:
    """Compare the schema ``revision`` with a program that knows revisions up to ``known``.

    Raises:
        ConfigurationError: the schema is so much newer that the program cannot work with it.
    """
    if revision is None or revision < known:
        return SchemaComparison.OLDER
    if revision == known:
        return SchemaComparison.SAME
    if revision[0] == known[0]:
        return SchemaComparison.NEWER
    raise ConfigurationError(
        f"the schema of the database is {revision}, of a newer Latigo, and this one knows it up to {known} and cannot"
        " work with it: update this program"
    )


def newest_revision() -> str:
    """Return the newest revision that this version of Latigo knows; files are named ``NNNN_what.py``."""
    names = (file.name for file in resources.files("latigo.postgres.migrations.versions").iterdir())
    return max(name.split("_")[0] for name in names if name[:4].isdigit())
