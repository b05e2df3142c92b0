"""``latigo backfills show``."""

from typing import TYPE_CHECKING

from latigo.cli.options import BackfillArgument, ConfigOption, JsonOption, LimitOption, settings_of, with_ledger
from latigo.cli.tables import show_cut, show_json, show_pairs, show_table

if TYPE_CHECKING:
    from latigo.postgres.database import Database
    from latigo.reports.backfills import Backfill, BackfillModel
    from latigo.reports.base import Listing

EXAMPLES = ("latigo backfills show 12", "latigo backfills show 12 --limit 0 --json")


def run(
    number: BackfillArgument, config: ConfigOption = None, limit: LimitOption = None, as_json: JsonOption = False
) -> None:
    """Show one request, and what is left of it for each model.

    The 1000 models with most left are shown. Exit code 2 when there is no such request.
    """
    from latigo.reports.backfills import MOST_MODELS, read_backfill, read_backfill_models

    async def work(database: "Database") -> "tuple[Backfill, Listing[BackfillModel]]":
        most = MOST_MODELS if limit is None else limit
        return await read_backfill(database, number), await read_backfill_models(database, number, most)

    backfill, models = with_ledger(settings_of(config), work)
    if as_json:
        show_json({**dict(backfill), "by_model": list(models), "total": models.total})
        return
    show_pairs({**dict(backfill), "done": f"{backfill.share_done:.1%}"})
    columns = ("project", "model", "slots", "slots_left", "slots_parked", "parked_as")
    show_table(models, columns, title="Models", if_any=("slots_parked", "parked_as"))
    show_cut(len(models), models.total)
