"""Names of projects and models: which are known, and what is wrong with one that is not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from latigo.domain.errors import LatigoError, UnknownName
from latigo.domain.model import ModelRef
from latigo.domain.names import printable, unknown_name
from latigo.domain.windows import iso
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

if TYPE_CHECKING:
    from latigo.providers.protocols import ProjectModels

SQL = load_statements("latigo.reports", "names.sql")

_NOTHING_YET = ": latigo status shows whether a scheduler is running"
#: Projects that are asked to find out whether the model server answers at all.
_ASKED = 5
#: No project has this name; a server of a single project answers all the same.
_NO_PROJECT = "latigo-asks-for-no-project"


class ModelLists(Protocol):
    """Lists models; the part of `ModelInformationProvider` that is needed here."""

    async def get_model_list(self, projects: Sequence[str]) -> Sequence["ProjectModels"]:
        """Return all models of these projects in their newest revision."""


@dataclass(frozen=True)
class KnownNames:
    """Projects and models that exist. Pure."""

    projects: frozenset[str]
    models: frozenset[ModelRef] = frozenset()
    #: Models that their servers expect and have not built, and since when.
    not_built: Mapping[ModelRef, datetime] = field(default_factory=dict)

    def require(self, project: str | None, model: str | None) -> None:
        """Check a selection; None matches all.

        Raises:
            UnknownName: there is no such project, or no such model in it.
        """
        if project is not None and project not in self.projects:
            raise unknown_name("project", project, self.projects, none=_NOTHING_YET)
        if model is None:
            return
        if project is not None:
            self._require_model(ModelRef(project, model))
        elif not any(ref.name == model for ref in self.models):
            known: Collection[str] = {str(ref) if "/" in model else ref.name for ref in self.models}
            raise unknown_name("model", model, known, none=_NOTHING_YET)

    def _require_model(self, ref: ModelRef) -> None:
        if ref in self.models:
            return
        if ref in self.not_built:
            since = iso(self.not_built[ref].replace(microsecond=0))
            raise UnknownName(
                f"{printable(str(ref))} is not built: its model server expects it since {since}, and Latigo predicts it"
                " when it is listed"
            )
        elsewhere = sorted(str(other) for other in self.models if other.name == ref.name)
        known = elsewhere[:1] or [str(other) for other in self.models if other.project == ref.project]
        raise unknown_name("model", str(ref), known, none=f" in {ref.project}{_NOTHING_YET}")


async def read_names(database: Database, configured: Collection[str] = ()) -> KnownNames:
    """Return the names that the ledger knows, and the projects that the settings name."""
    async with database.connection() as connection:
        projects = {row["name"] for row in await connection.fetch(SQL["projects"])}
        models = frozenset(ModelRef(row["project"], row["name"]) for row in await connection.fetch(SQL["models"]))
        not_built = {
            ModelRef(row["project"], row["name"]): row["since"] for row in await connection.fetch(SQL["not_built"])
        }
    return KnownNames(frozenset(projects.union(configured)), models, not_built)


async def require_sensor(database: Database, name: str) -> None:
    """Check that a model has this sensor, or that a failure is about it.

    Raises:
        UnknownName: neither; with the nearest name that a model has.
    """
    async with database.connection() as connection:
        if (await connection.fetchrow(SQL["knows_sensor"], name))["known"]:
            return
        known = [row["name"] for row in await connection.fetch(SQL["sensors"])]
    raise unknown_name("sensor", name, known, none=_NOTHING_YET)


async def not_on_server(lists: ModelLists, ref: ModelRef, known: KnownNames) -> UnknownName:
    """Return the error for a model that the server does not list: the nearest one of its list is named."""
    (listing,) = await lists.get_model_list([ref.project])
    models = frozenset(ModelRef(ref.project, name) for name in listing.models)
    try:
        replace(known, projects=known.projects | {ref.project}, models=models).require(*ref)
    except UnknownName as error:
        return error
    return unknown_name("model", str(ref), [])  # listed by now, and a moment ago it was not


async def require_project(lists: ModelLists, project: str, known: KnownNames) -> None:
    """Check that a project is known, or that the server has it under this name and not under any.

    Raises:
        UnknownName: neither the ledger, the settings nor the server know it.
        LatigoError: the server does not answer for any project.
    """
    if project in known.projects or not known.projects:
        return
    wanted, nonsense, *others = await lists.get_model_list([project, _NO_PROJECT, *sorted(known.projects)[:_ASKED]])
    if wanted.error is None and nonsense.error is not None:
        return
    if isinstance(wanted.error, LatigoError) and all(other.error is not None for other in others):
        raise wanted.error
    note = "" if wanted.error is not None else "the model server answers for every name, so it cannot tell"
    raise unknown_name("project", project, known.projects, note=note)
