"""What people want to know of the ledger: status, failures, models. Read-only but for what people ask to be changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from latigo.domain.task import Lane
from latigo.ledger.executor_store import read_circuits
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.ledger", "sql/shared.sql", "sql/reports.sql", "sql/requests.sql")

#: A model is stale when its newest looked-at slot is more than so many slots behind the newest due one.
STALE_SLOTS = 1.0
#: Stale models that a status names; the rest is counted.
NAMED = 10
#: What the rates are taken of, in seconds.
RATE_SECONDS = 300.0


class LedgerReports:
    """Answers out of the ledger, as plain values ready for JSON."""

    def __init__(self, database: Database, version: str) -> None:
        self._database = database
        self._version = version

    async def status(self) -> Mapping[str, Any]:
        """Everything about the service that the ledger knows, with a verdict."""
        async with self._database.connection() as connection:
            now = (await connection.fetchrow(SQL["clock"]))["ledger"]
            planner = await connection.fetchrow(SQL["planner"])
            executors = await connection.fetch(SQL["executors"])
            projects = await connection.fetch(SQL["projects"])
            freshness = await connection.fetch(SQL["freshness"], STALE_SLOTS, NAMED)
            exceptions = await connection.fetch(SQL["exceptions_by_state"])
            failures = await connection.fetch(SQL["failures_by_cause"])
            backlog = await connection.fetch(SQL["backlog"], None, None)
            rates = await connection.fetchrow(SQL["rates"])
            out = await connection.fetchrow(SQL["outstanding"])
            partitions = await connection.fetch(SQL["queue"])
            refused = await connection.fetch(SQL["refused"])
        circuits = await read_circuits(self._database)
        found: dict[str, Any] = {
            "version": self._version,
            "now": now,
            "planner": {"holder": planner["holder"], "term": planner["term"]} if planner["held"] else None,
            "executors": [dict(row) for row in executors],
            "projects": _by_project(projects, freshness),
            "backlog": {
                "slots": round(sum(row["slots"] for row in backlog)),
                "calls": round(sum(row["calls"] for row in backlog)),
            },
            "outstanding": {
                "outstanding": sum(out[lane] for lane in Lane),
                **{key: out[key] for key in ("live", "waiting", "unpublished")},
            },
            "queue": {
                "lag": sum(row["lag"] for row in partitions),
                "partitions": [dict(row) for row in partitions],
                "refused": [dict(row) for row in refused],
            },
            "rates": {
                "needed_slots_per_second": sum(row["slots_per_second"] for row in freshness),
                "covered_slots_per_second": rates["covered_slots"] / RATE_SECONDS,
                "rows_per_second": rates["rows"] / RATE_SECONDS,
                "tasks_per_second": rates["settled"] / RATE_SECONDS,
            },
            "circuits": [
                {
                    "downstream": each.downstream,
                    "reason": each.reason,
                    "alarm": each.alarm,
                    "opened_at": each.opened_at,
                    "pause_s": each.pause.total_seconds(),
                }
                for each in circuits
            ],
            "exceptions": [dict(row) for row in exceptions],
            "failures": [dict(row) for row in failures],
            "stale": _stalest(freshness),
        }
        found["limited_by"] = limited_by(found)
        found["alarms"] = alarms(found)
        found["stale_models"] = sum(project["stale"] for project in found["projects"])
        # A model without metadata lacks its newest slot just like one that is stale.
        undescribed = sum(project["undescribed"] for project in found["projects"])
        found["healthy"] = not found["stale_models"] and not undescribed and not found["alarms"]
        return found

    async def failures(
        self, project: str | None = None, model: str | None = None, reason: str | None = None, *, most: int = 1000
    ) -> Sequence[Mapping[str, Any]]:
        """What is parked, waits for another attempt, or came out of the queue and is no task."""
        rows = await self._database.fetch(SQL["failures"], project, model, reason, most)
        return [dict(row) for row in rows]

    async def models(
        self, project: str | None = None, model: str | None = None, *, most: int = 100_000
    ) -> Sequence[Mapping[str, Any]]:
        """The models that the ledger knows."""
        return [dict(row) for row in await self._database.fetch(SQL["models"], project, model, most)]

    async def backlog(self, project: str | None = None, model: str | None = None) -> Sequence[Mapping[str, Any]]:
        """What could be planned now, by project: models, slots and the calls that they cost when folded."""
        return [dict(row) for row in await self._database.fetch(SQL["backlog"], project, model)]

    async def holes(
        self,
        project: str | None = None,
        model: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        most: int = 1000,
    ) -> Sequence[Mapping[str, Any]]:
        """The stretches of time that could be planned now, newest first."""
        return [dict(row) for row in await self._database.fetch(SQL["holes"], project, model, start, end, most)]

    async def totals(self) -> Mapping[str, Any]:
        """Models, slots that are due, covered or excepted, parked, rows: everything there is, as of one moment."""
        (row,) = await self._database.fetch(SQL["totals"])
        return dict(row)

    async def live_slots_since(self, time: datetime) -> Mapping[str, int]:
        """How many slots that began at or after ``time`` are covered, by model."""
        rows = await self._database.fetch(SQL["live_progress"], time)
        return {f"{row['project']}/{row['model']}": int(row["slots"]) for row in rows}

    async def retry(
        self, who: str, project: str | None = None, model: str | None = None, reason: str | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Give what is parked or waits another chance at once; what was parked. The request is recorded."""
        async with self._database.transaction() as connection:
            parked = [dict(row) for row in await connection.fetch(SQL["unpark"], project, model, reason)]
            await connection.execute(SQL["revive_models"], project, model)
            woken = len(await connection.fetch(SQL["end_waiting"], project, model)) if reason in {None, "retry"} else 0
            selector = {"project": project, "model": model, "reason": reason}
            await connection.execute(
                SQL["record_request"], "retry", who, selector, f"{len(parked)} unparked, {woken} woken"
            )
        return parked


def _by_project(projects: Sequence[Any], freshness: Sequence[Any]) -> list[dict[str, Any]]:
    fresh = {row["project"]: row for row in freshness}
    counts = ("active", "paused", "unusable", "gone", "silent", "parked", "stale")
    found = []
    for name in sorted({row["name"] for row in projects} | set(fresh)):
        listed = next((row for row in projects if row["name"] == name), None)
        row = fresh.get(name)
        found.append(
            {
                "project": name,
                "revision": listed["revision"] if listed else "",
                "listed_at": listed["listed_at"] if listed else None,
                "error": listed["error"] if listed else "",
                "doubted_since": listed["doubted_since"] if listed else None,
                # Listed, but their metadata could not be read yet: just found, half-built or broken on the server.
                "undescribed": max((listed["models"] if listed else 0) - (row["known"] if row else 0), 0),
                **{key: row[key] if row else 0 for key in counts},
                "oldest": row["oldest"] if row else None,
            }
        )
    return found


def _stalest(freshness: Sequence[Any]) -> list[dict[str, Any]]:
    """The models that nobody has looked at for longest, of all projects."""
    found = [
        {"project": row["project"], "model": model, "looked_until": looked_until, "due": due}
        for row in freshness
        for model, looked_until, due in row["stalest"] or ()
    ]
    return sorted(found, key=lambda each: each["looked_until"])[:NAMED]


def limited_by(status: Mapping[str, Any]) -> str:
    """What keeps the service from being faster, as far as a status tells. Pure."""
    if status["planner"] is None:
        return "no scheduler holds the lease to plan"
    if not status["executors"]:
        return "no executor is there"
    if status["circuits"]:
        away = ", ".join(each["downstream"] for each in status["circuits"])
        return f"waiting for {away}"
    if not status["outstanding"]["outstanding"]:
        return "nothing: there is nothing to do now"
    if any(each["in_flight"] >= each["concurrency"] for each in status["executors"]):
        limits = sum(each["working_limit"] for each in status["executors"])
        return f"executor.concurrency, and the model server, which takes {limits} calls at once"
    return "nothing: work is under way"


def alarms(status: Mapping[str, Any]) -> list[str]:
    """What somebody has to do something about. Pure.

    Among it are sinks that are away although not required, since what they miss, they never get; and models that cannot
    be used, which settings or roster can leave out.
    """
    found = []
    if status["planner"] is None:
        found.append("no scheduler holds the lease to plan")
    if not status["executors"]:
        found.append("no executor is there")
    found += [f"{each['downstream']} is away: {each['reason']}" for each in status["circuits"]]
    recreated = sorted({each["channel"] for each in status["queue"]["partitions"] if each["hub_recreated"]})
    found += [
        f"{channel} is another one than before: latigo queue reset forgets its checkpoints" for channel in recreated
    ]
    for project in status["projects"]:
        if project["error"]:
            found.append(f"{project['project']}: its models cannot be listed: {project['error']}")
        if project["doubted_since"]:
            found.append(f"{project['project']}: its model list has lost too many models at once and is not believed")
    found += [
        f"{each['project']}: models that are parked as {each['reason']}, newest slot included: {each['stuck']}"
        f" (latigo failures --project {each['project']} --reason {each['reason']})"
        for each in status["failures"]
        if each["stuck"]
    ]
    return found
