"""How much Gordo a plant needs, by how long its calls took. Pure.

The rule and the measurements behind its constants are in docs/sizing.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Literal, NamedTuple

from latigo.reports.base import Report
from latigo.runtime.units import format_duration

#: Calls without which nothing is estimated, and calls of a model without which it is not judged.
FEWEST_CALLS = 30
FEWEST_OF_MODEL = 3
MOST_NAMED = 10

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
#: A loaded call takes 2.7 to 3.5 times as long as one of a model in memory; calls of the latter differ by 1.3 at most.
_LOADED_BY_ITSELF = 2.0
#: A Keras model that is loaded takes 4.0 to 5.3 times as long as a scikit-learn model, one in memory 1.2 to 1.9 times.
_LOADED_BY_OTHERS = 2.75
#: Of a loaded call, what is left once the model is in memory: 65 of 197 ms.
_LEFT_IN_MEMORY = 1 / 3
#: A day in one call takes 1.1 to 1.3 times as much as one slot.
_LONG_CALL = 1.2
_ROOM = 115  #: per cent: shares of servers are not even, and a cache that is a little too small hardly helps
_LONGER = 50  #: times the interval
_WORKER_GB, _MODEL_GB, _LARGEST_GB = 0.55, 0.002, 8.0

Judged = Literal["itself", "keras", "other"]
Setting = Literal["models.cached_per_worker", "models.url", "schedule.interval", "schedule.max_window"]


class Times(NamedTuple):
    """Calls of a model, and how long one took: the median, but the mean of backfill, where one in a few loads."""

    calls: int = 0
    ms: float = 0.0


class ModelCalls(NamedTuple):
    """Calls of one model, by the situation in which they were made."""

    project: str
    model: str
    keras: bool
    slot: timedelta
    live: Times  #: live calls with a pause before
    fast_ms: float  #: a quarter of the live calls took no longer
    in_a_row: Times  #: calls right after another one of the model, which has left it in memory
    backfill: Times  #: calls of all other lanes


class Group(NamedTuple):
    """Models that are predicted, and are alike for the estimate."""

    project: str
    keras: bool
    slot: timedelta
    models: int


class Backlog(NamedTuple):
    """Windows that are missing now."""

    windows: int = 0
    calls: float = 0.0
    days: float = 0.0  #: of data


class Sample(NamedTuple):
    """The calls that the estimate rests on."""

    calls: int
    since: datetime | None
    models: Sequence[ModelCalls]
    in_use: float = 0.0  #: cores that the calls of the last hour kept busy, on average


class Capacity(NamedTuple):
    """Settings that the cost depends on."""

    interval: timedelta
    max_window: timedelta
    servers: int | None  #: None: their number is not in the settings
    cached: int  #: models that a worker keeps in memory


class LoadedModel(Report):
    """A model that seems to be loaded on every call."""

    project: str
    model: str
    live_ms: float  #: a live call, half the time
    in_memory_ms: float  #: the same once it is in memory, as far as known
    compared_with: Judged  #: its own calls in a row, those of other Keras models, or models that are not of Keras


class CostSuggestion(Report):
    """A setting that would lower the cost."""

    setting: Setting
    value: str
    cores_saved: float
    text: str


class GordoCost(Report):
    """Gordo cores that predictions need: an upper bound, since a core counts as busy for as long as a call takes."""

    at: datetime
    calls: int  #: that the estimate rests on
    since: datetime | None  #: the oldest of them
    enough: bool  #: false: too few calls, so nothing is estimated
    models: int  #: that are predicted
    keras_models: int  #: of them
    live_calls_per_hour: float
    backlog_calls: float
    within: timedelta  #: in which the backlog is to be done
    cores_in_use: float | None  #: in the last hour
    cores_live: float | None
    cores_backlog: float | None
    judged: int  #: Keras models with enough calls to know whether they are loaded
    loaded: Sequence[LoadedModel]  #: the slowest
    loaded_count: int
    suggestions: Sequence[CostSuggestion]  #: the first helps most


def estimate(
    sample: Sample, groups: Sequence[Group], backlog: Backlog, capacity: Capacity, within: timedelta, at: datetime
) -> GordoCost:
    """Return the cost of the models of ``groups``, of which ``sample`` has calls."""
    enough = sample.calls >= FEWEST_CALLS
    judged, loaded = _judge(sample.models) if enough else (0, [])
    live = _cores(sample.models, groups, _live_ms) if enough else None
    backlog_ms = _backlog_ms(sample.models) if enough else 0.0
    needed = _busy(backlog.calls * backlog_ms, within) if enough else None
    suggestions = []
    if live is not None:
        saved = _saved(sample.models, groups, loaded)
        suggestions = [
            each
            for each in (
                _memory(groups, capacity, saved),
                _interval(sample.models, groups, capacity),
                _window(backlog, capacity, backlog_ms, within),
            )
            if each is not None and each.cores_saved > 0
        ]
    loaded.sort(key=lambda each: (each.in_memory_ms - each.live_ms, each.project, each.model))
    return GordoCost(
        at=at,
        calls=sample.calls,
        since=sample.since,
        enough=enough,
        models=sum(group.models for group in groups),
        keras_models=sum(group.models for group in groups if group.keras),
        live_calls_per_hour=sum(group.models * (_HOUR / group.slot) for group in groups),
        backlog_calls=backlog.calls,
        within=within,
        cores_in_use=sample.in_use if enough else None,
        cores_live=live,
        cores_backlog=needed,
        judged=judged,
        loaded=loaded[:MOST_NAMED],
        loaded_count=len(loaded),
        suggestions=sorted(suggestions, key=lambda each: -each.cores_saved),
    )


def _judge(models: Sequence[ModelCalls]) -> tuple[int, list[LoadedModel]]:
    """Return how many Keras models can be judged, and those that seem to be loaded on every call.

    A model's calls in a row show what it takes from memory. Without these, other Keras models show it, and without
    those, models of other kinds, which cost nothing to load.
    """
    keras = [each for each in models if each.keras and each.live.calls >= FEWEST_OF_MODEL]
    known = [each.in_a_row.ms for each in models if each.keras and each.in_a_row.calls >= FEWEST_OF_MODEL]
    plain = [each.live.ms for each in models if not each.keras and each.live.calls >= FEWEST_OF_MODEL]
    judged, loaded = 0, []
    for each in keras:
        compared: Judged
        if each.in_a_row.calls >= FEWEST_OF_MODEL:
            compared, least, in_memory = "itself", _LOADED_BY_ITSELF * each.in_a_row.ms, each.in_a_row.ms
        elif known:
            compared, in_memory = "keras", median(known)
            least = _LOADED_BY_ITSELF * in_memory
        elif plain:
            compared, least, in_memory = "other", _LOADED_BY_OTHERS * median(plain), each.live.ms * _LEFT_IN_MEMORY
        else:
            continue
        judged += 1
        if each.fast_ms >= least:
            loaded.append(
                LoadedModel(
                    project=each.project,
                    model=each.model,
                    live_ms=each.live.ms,
                    in_memory_ms=in_memory,
                    compared_with=compared,
                )
            )
    return judged, loaded


def _live_ms(model: ModelCalls) -> float | None:
    for times in (model.live, model.backfill, model.in_a_row):
        if times.calls:
            return times.ms
    return None


def _backlog_ms(models: Sequence[ModelCalls]) -> float:
    """Return how long a call of backfill takes: as those before, or a little longer than a live one."""
    calls = sum(each.backfill.calls for each in models)
    if calls:
        return sum(each.backfill.calls * each.backfill.ms for each in models) / calls
    live = [ms for each in models if (ms := _live_ms(each)) is not None]
    return _LONG_CALL * fmean(live) if live else 0.0


def _cores(models: Iterable[ModelCalls], groups: Iterable[Group], ms_of: Callable[[ModelCalls], float | None]) -> float:
    """Return the cores that one call a slot of each model keeps busy.

    A model without calls counts as the mean of its group; without any, as that of its kind, or of all.
    """
    means = _means(models, ms_of)
    return sum(group.models * _busy(_mean_of(means, group), group.slot) for group in groups)


_Key = tuple[object, ...]


def _means(models: Iterable[ModelCalls], ms_of: Callable[[ModelCalls], float | None]) -> Mapping[_Key, float]:
    values: dict[_Key, list[float]] = {}
    for each in models:
        if (ms := ms_of(each)) is not None:
            for key in _keys(each):
                values.setdefault(key, []).append(ms)
    return {key: fmean(found) for key, found in values.items()}


def _mean_of(means: Mapping[_Key, float], group: Group) -> float:
    return next((means[key] for key in _keys(group) if key in means), 0.0)


def _keys(of: ModelCalls | Group) -> tuple[_Key, ...]:
    return (of.project, of.keras, of.slot), (of.keras,), ()


def _busy(ms: float, during: timedelta) -> float:
    return ms / 1000 / during.total_seconds()


def _saved(models: Sequence[ModelCalls], groups: Sequence[Group], loaded: Sequence[LoadedModel]) -> float:
    """Return the cores that loading models costs in live calls."""
    by_name = {(each.project, each.model): each.live_ms - each.in_memory_ms for each in loaded}

    def of(model: ModelCalls) -> float | None:
        return None if model.live.calls < FEWEST_OF_MODEL else by_name.get((model.project, model.model), 0.0)

    of_keras = [each for each in models if each.keras]
    return _cores(of_keras, [group for group in groups if group.keras], of) if loaded else 0.0


def _memory(groups: Sequence[Group], capacity: Capacity, saved: float) -> CostSuggestion | None:
    """Suggest to keep all models in memory: a larger cache, or more servers where a worker would become too large."""
    if not saved:
        return None
    models = sum(group.models for group in groups)
    if capacity.servers is None:
        return CostSuggestion(
            setting="models.cached_per_worker",
            value=f"1.15 * {models} / servers",
            cores_saved=saved,
            text=f"keep all models in memory: N_CACHED_MODELS of Gordo and models.cached_per_worker at least 1.15"
            f" * {models} / servers, and one worker in each server",
        )
    most = int((_LARGEST_GB - _WORKER_GB) / _MODEL_GB)
    servers = max(capacity.servers, -(-_ROOM * models // (100 * most)))
    cached = -(-_ROOM * models // (100 * servers))
    keep = f"N_CACHED_MODELS of Gordo and models.cached_per_worker {cached}"
    memory = f"about {_WORKER_GB + cached * _MODEL_GB:.1f} GB of memory each"
    if servers > capacity.servers:
        return CostSuggestion(
            setting="models.url",
            value=f"{servers} servers",
            cores_saved=saved,
            text=f"share the models among {servers} servers of one worker each ({memory}), with {keep}",
        )
    text = f"keep all models in memory: {keep}, and one worker in each server ({memory})"
    if capacity.cached >= cached:
        text = (
            f"models.cached_per_worker is {capacity.cached}, which is enough, but Gordo loads models all the"
            " same: set its N_CACHED_MODELS to the same number, and run one worker in each server"
        )
    return CostSuggestion(
        setting="models.cached_per_worker", value=str(max(cached, capacity.cached)), cores_saved=saved, text=text
    )


def _interval(models: Sequence[ModelCalls], groups: Sequence[Group], capacity: Capacity) -> CostSuggestion | None:
    """Suggest slots of at least twice the length. Shorter ones than the interval are from overrides, and stay."""
    wanted = next((capacity.interval * n for n in range(2, _LONGER) if not _DAY % (capacity.interval * n)), None)
    if wanted is None:
        return None
    longer = [group for group in groups if capacity.interval <= group.slot < wanted]
    now = _cores(models, longer, _live_ms)
    then = sum(_cores(models, [group], _live_ms) * (group.slot / wanted) for group in longer)
    value = format_duration(wanted)
    return CostSuggestion(
        setting="schedule.interval",
        value=value,
        cores_saved=now - then,
        text=f"predict in slots of {value}: fewer calls, and predictions that come later",
    )


def _window(backlog: Backlog, capacity: Capacity, call_ms: float, within: timedelta) -> CostSuggestion | None:
    """Suggest windows of a day for the backlog, each of which takes a little longer than a shorter one."""
    if capacity.max_window >= _DAY:
        return None
    calls = max(float(backlog.windows), backlog.days) * _LONG_CALL
    return CostSuggestion(
        setting="schedule.max_window",
        value="1d",
        cores_saved=_busy((backlog.calls - calls) * call_ms, within),
        text="fold up to a day of the past into one call, where sensors.read_budget has room for its readings",
    )
