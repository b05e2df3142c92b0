"""Selection of models by names that people type; pure."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from latigo.domain.errors import Misused
from latigo.domain.model import ModelRef
from latigo.domain.names import printable, unknown_name

_PATTERN = frozenset("*?[")
_LONGEST = 500  #: characters of a pattern
_MOST_NAMED = 3  #: models


def select_models(names: Sequence[str], known: Collection[ModelRef]) -> list[ModelRef]:
    """Return the known models that names select, in their order: ``PROJECT``, or ``PROJECT/MODEL``, either a pattern.

    Linear in the number of models for each name that is a pattern or a project, and in the number of names otherwise.

    Raises:
        UnknownName: a name selects nothing.
        Misused: a name is longer than any.
    """
    exact, chosen = {str(ref): ref for ref in known}, set[ModelRef]()
    for name in names:
        if len(name) > _LONGEST:
            raise Misused(f"{printable(name)} is longer than {_LONGEST} characters")
        project, slash, model = name.partition("/")
        if slash and not _PATTERN & set(name):
            found = [exact[name]] if name in exact else []
        else:
            model = model if slash else "*"
            found = [ref for ref in known if fnmatchcase(ref.project, project) and fnmatchcase(ref.name, model)]
        if not found:
            raise _unknown(name, known)
        chosen.update(found)
    return sorted(chosen)


def _unknown(name: str, known: Collection[ModelRef]) -> Misused:
    if _PATTERN & set(name):
        return Misused(f"{printable(name)} matches none of the {len(known)} known models")
    if "/" in name:
        return unknown_name("model", name, [str(ref) for ref in known])
    note = ""
    if models := sorted(str(ref) for ref in known if ref.name == name):
        note = f"a model is named with its project: {', '.join(map(printable, models[:_MOST_NAMED]))}"
        note += f" and {len(models) - _MOST_NAMED} more" if len(models) > _MOST_NAMED else ""
    return unknown_name("project", name, {ref.project for ref in known}, note=note)
