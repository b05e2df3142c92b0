"""Ledgers that earlier versions have filled, as dumps; see ``tests/data/upgrades/README.md``."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from tests.support.postgres import execute

UPGRADES = Path(__file__).parents[1] / "data" / "upgrades"


async def restore(url: str, commit: str) -> None:
    """Fill an empty database with the dump that this commit has made."""
    await execute(url, (UPGRADES / f"ledger-{commit}.sql").read_text(encoding="utf-8"))


async def rows(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def contents(url: str, columns: Mapping[str, str]) -> Mapping[str, Counter[str]]:
    """The rows of every view as text, as far as these columns go."""
    return {
        view: Counter(
            row["line"]
            for row in await rows(url, f"SELECT (SELECT v FROM (SELECT {names}) AS v)::text AS line FROM {view}")
        )
        for view, names in columns.items()
    }


async def columns_of(url: str) -> Mapping[str, str]:
    """The columns of every public view."""
    found = await rows(
        url,
        "SELECT table_name AS view, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS names "
        r"FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'v\_%' GROUP BY table_name",
    )
    return {row["view"]: row["names"] for row in found}
