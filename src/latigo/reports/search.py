"""Search: names of projects, models, sensors, causes and requests, by parts of them."""

from collections.abc import Sequence
from urllib.parse import quote

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report, escape_like

SQL = load_statements("latigo.reports", "search.sql")


class Found(Report):
    """Something whose name matches."""

    kind: str  #: project, model, sensor, cause or request
    project: str
    model: str
    tag: str
    label: str
    href: str  #: of its page, relative to the base of all


async def search(database: Database, q: str, most: int = 20) -> Sequence[Found]:
    """Return what has all parts of ``q`` in its name, in any order and case, best first; nothing for an empty one."""
    parts = [f"%{escape_like(part)}%" for part in q.split()]
    if not parts:
        return []
    rows = await database.fetch(SQL["search"], parts, most, q.strip().lower())
    return [Found(**row, href=_href(**row)) for row in rows]


def _href(kind: str, project: str, model: str, tag: str, label: str) -> str:
    match kind:
        case "project":
            return f"models?project={_part(project)}"
        case "model":
            return f"models/{_part(project)}/{_part(model)}"
        case "sensor":
            return f"failures?by=sensor&q={_part(tag)}"
        case "cause":
            return f"failures?reason={_part(label)}"
        case _:
            return f"backfills/{_part(label)}"


def _part(text: str) -> str:
    return quote(text, safe="")
