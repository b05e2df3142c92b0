"""Pause projects and models, and resume them."""

from typing import NamedTuple

from latigo.actions.record import SQL, Order, record
from latigo.domain.errors import Misused
from latigo.ledger.shared import stop_paused
from latigo.postgres.database import Database
from latigo.runtime.units import counted


class Paused(NamedTuple):
    """What a pause has changed."""

    models: int  #: that are paused by this, and were not before
    already: Order | None  #: the pause of the same that is in force, and stays


async def pause(database: Database, who: str, project: str, model: str | None, reason: str) -> Paused:
    """Stop planning and starting tasks of a model, or of a project with the models that it gets later.

    Tasks that run end as usual. Coverage stays, and what becomes due meanwhile is a gap until it is resumed. A pause
    that is there already keeps who, when and why; the second one is recorded.
    """
    selected = (project, model)
    async with database.transaction() as connection:
        await connection.fetch(SQL["lock_selected"], *selected)
        already = await connection.fetchrow(SQL["paused_by"], *selected)
        await connection.execute(SQL["pause"], *selected, who, reason)
        models = len(await connection.fetch(SQL["apply_pauses"], *selected))
        # A message that no executor may claim is gone, and its task would stay published for ever.
        await stop_paused(connection)
        selector = {"project": project, "model": model, "reason": reason}
        await record(connection, "pause", who, selector, f"{counted(models, 'model')} paused")
    return Paused(models, Order(**already) if already else None)


async def resume(database: Database, who: str, project: str, model: str | None, reason: str = "") -> int:
    """End a pause; that of a project with those of its models.

    Returns:
        the number of models that are resumed.

    Raises:
        Misused: neither is paused, or the whole project of the model is.
    """
    selected = (project, model)
    async with database.transaction() as connection:
        await connection.fetch(SQL["lock_selected"], *selected)
        ended = await connection.fetch(SQL["resume"], *selected)
        whole = await connection.fetchrow(SQL["project_pause"], project)
        if model is not None and whole is not None:
            raise Misused(
                f"{project} is paused with all its models, by {whole['who']} ({whole['reason']}); latigo resume"
                f" {project} resumes it"
            )
        if not ended:
            raise Misused(f"{project if model is None else f'{project}/{model}'} is not paused")
        models = len(await connection.fetch(SQL["apply_pauses"], *selected))
        selector = {"project": project, "model": model, "reason": reason}
        await record(connection, "resume", who, selector, f"{counted(models, 'model')} resumed")
    return models
