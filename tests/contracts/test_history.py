"""How the service did: what is kept every five minutes, and the lines that are made of it."""

from datetime import timedelta

from latigo.ledger.history import Sample, keep_sample
from latigo.reports.history import read_history
from tests.support.build import at
from tests.support.ledgers import Ledgers

DAY = timedelta(days=1)


USUAL = Sample(fresh=9, stale=1, live_oldest_s=0.0, backlog=0.0, rate=0.0)


async def keep(ledgers: Ledgers, time: str, **values: int) -> None:
    await ledgers.set_clock(at(time))
    await keep_sample(ledgers.database, USUAL._replace(**values))


async def test_a_line_has_a_value_for_each_five_minutes_and_none_where_nothing_was_kept(ledgers: Ledgers):
    await keep(ledgers, "10:01", fresh=5, stale=5)
    await keep(ledgers, "10:04", fresh=3, stale=1)  # the last one of five minutes counts
    await keep(ledgers, "10:10", backlog=7)

    history = await read_history(ledgers.database, ["fresh", "backlog"], at("10:12"), timedelta(minutes=15), 288)

    assert (history.start, history.step_s, history.points) == (at("10:00"), 300.0, 3)
    assert [line.values for line in history.lines] == [[0.75, None, 0.9], [0.0, None, 7.0]]


async def test_fewer_points_are_means_but_for_the_oldest_which_is_the_oldest(ledgers: Ledgers):
    for time, value in (("10:00", 10), ("10:05", 20), ("10:10", 90), ("10:15", 0)):
        await keep(ledgers, time, rate=value, live_oldest_s=value)

    history = await read_history(ledgers.database, ["rate", "live_oldest"], at("10:19"), timedelta(minutes=20), 2)

    assert (history.start, history.step_s) == (at("10:00"), 600.0)
    assert [line.values for line in history.lines] == [[15.0, 45.0], [20.0, 90.0]]


async def test_where_no_model_counts_there_is_no_share(ledgers: Ledgers):
    await keep(ledgers, "10:00", fresh=0, stale=0)

    history = await read_history(ledgers.database, ["fresh"], at("10:02"), timedelta(minutes=5), 1)

    assert history.lines[0].values == [None]


async def test_what_is_older_than_a_month_goes(ledgers: Ledgers):
    await keep(ledgers, "10:00")
    await ledgers.set_clock(at("10:00") + 33 * DAY)
    await keep_sample(ledgers.database, Sample(1, 0, 0.0, 0.0, 0.0))

    assert len(await ledgers.fetch("SELECT FROM service_history")) == 1
