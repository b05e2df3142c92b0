"""Strategies for models and tasks as hypothesis draws them."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from latigo.domain.model import DatasetConfig, ModelRef, ModelSpec
from latigo.domain.task import Lane, LedgerIdentity, Task
from latigo.domain.windows import Window

#: Bounds of a strategy that adds the zone itself.
EARLIEST, LATEST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - as it wants them

names = st.text(min_size=1, max_size=20)
_durations = st.timedeltas(timedelta(microseconds=1), timedelta(days=400))


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any model whatsoever."""
    tags = st.lists(names, max_size=4).map(tuple)
    return ModelSpec(
        ref=ModelRef(draw(names), draw(names)),
        revision=str(draw(st.integers(0, 10**15))),
        dataset=DatasetConfig(
            tag_list=draw(tags),
            target_tag_list=draw(tags),
            resolution=draw(_durations),
            aggregation=draw(names),
            interpolation_method=draw(names),
            interpolation_limit=draw(st.none() | _durations),
            row_filter=draw(st.text(max_size=20)),
            filter_tags=draw(tags),
        ),
        model_offset=draw(st.integers(0, 10_000)),
        anomaly=draw(st.none() | st.booleans()),
        accepts_nan=draw(st.booleans()),
        assets=draw(st.dictionaries(names, names, max_size=3)),
    )


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Any task whatsoever."""
    start, end = sorted(
        draw(
            st.lists(
                st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)),
                min_size=2,
                max_size=2,
                unique=True,
            )
        )
    )
    return Task(
        id=draw(st.integers(1, 2**63 - 1)),
        epoch=draw(st.integers(1, 2**31 - 1)),
        model=draw(specs()),
        window=Window(start, end),
        slot_seconds=draw(st.integers(1, 86_400)),
        lane=draw(st.sampled_from(Lane)),
        trace=draw(st.text(max_size=55)),
        probe=draw(st.booleans()),
        ledger=draw(st.none() | st.builds(LedgerIdentity, st.uuids(), st.integers(1, 2**63 - 1))),
    )
