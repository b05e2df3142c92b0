"""Change limits at run time, pause backfill, and return to the settings."""

from typing import Any

from latigo.actions.record import SQL, lock_planner, record
from latigo.domain.limits import BACKFILL_PAUSED, Limits
from latigo.ledger.shared import stop_paused
from latigo.postgres.database import Database

#: Limits that settings have as well.
CONFIGURED = ("concurrency", "backfill_share", "outstanding")


async def set_limits(database: Database, who: str, limits: Limits, reason: str) -> int:
    """Let limits hold from now on, those that are not None; pause backfill if ``limits`` has it paused.

    Running schedulers and executors take them within seconds. A pause takes back the tasks of every lane but live that
    no executor has claimed; what they were for is planned when it ends.

    Returns:
        how many tasks were taken back.
    """
    values = {name: value for name in CONFIGURED if (value := getattr(limits, name)) is not None}
    withdrawn = 0
    async with database.transaction() as connection:
        for name, value in values.items():
            await connection.execute(SQL["set_limit"], name, float(value), who, reason)
        if limits.backfill_paused:
            await lock_planner(connection)  # or a round of planning could add tasks after this
            await connection.execute(SQL["set_limit"], BACKFILL_PAUSED, 1.0, who, reason)
            withdrawn = await stop_paused(connection)
        selector: dict[str, Any] = {**values, "reason": reason} | (
            {"backfill": "paused"} if limits.backfill_paused else {}
        )
        await record(connection, "limits", who, selector, f"{withdrawn} tasks taken back" if withdrawn else "")
    return withdrawn


async def reset_limits(database: Database, who: str, reason: str) -> int:
    """Return to the limits of the settings; return how many differed. A pause of backfill stays."""
    return await _end(database, who, CONFIGURED, reason, "reset")


async def resume_backfill(database: Database, who: str, reason: str) -> bool:
    """Plan backfill and requests again; return whether that was paused."""
    return await _end(database, who, (BACKFILL_PAUSED,), reason, "resume-backfill") > 0


async def _end(database: Database, who: str, names: tuple[str, ...], reason: str, verb: str) -> int:
    async with database.transaction() as connection:
        ended = [row["name"] for row in await connection.fetch(SQL["end_limits"], list(names))]
        await record(connection, f"limits_{verb}", who, {"ended": ended, "reason": reason}, f"{len(ended)} ended")
    return len(ended)
