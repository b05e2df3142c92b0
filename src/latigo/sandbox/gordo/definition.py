"""Definitions of the models and projects that are served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from latigo.providers.simulated import Fault, FaultKind, Plant

REVISION = "1764547200000"

_EQUIPMENT = ("pump", "compressor", "separator", "turbine", "cooler", "export-line", "heater", "generator")
_QUANTITIES = ("PT", "TT", "FT", "LT", "VT")
_AREA = 1903
_MICROSECOND = timedelta(microseconds=1)


class ModelKind(StrEnum):
    """The kinds of models that differ in Gordo's responses."""

    PCA = "pca"  #: an anomaly model over PCA and regression, the usual substitute for an autoencoder
    KERAS = "keras"  #: as ``PCA``, with the properties of a Keras network: float32, and NaN is accepted
    LSTM_AUTOENCODER = "lstm-autoencoder"  #: sees ``lookback`` rows, the newest included
    LSTM_FORECAST = "lstm-forecast"  #: sees the ``lookback`` rows before
    IDENTITY = "identity"  #: returns its input, so that thresholds are 0 and confidences not finite
    UNVALIDATED = "unvalidated"  #: an anomaly model without thresholds, which serves ``prediction`` only
    PLAIN = "plain"  #: a pipeline without anomaly detector
    TRANSFORM = "transform"  #: a pipeline whose output has other columns than its targets

    @property
    def detector(self) -> bool:
        """True if ``anomaly/prediction`` works."""
        return self not in {ModelKind.UNVALIDATED, ModelKind.PLAIN, ModelKind.TRANSFORM}

    @property
    def plain(self) -> bool:
        """True for a bare pipeline, without an anomaly class."""
        return self in {ModelKind.PLAIN, ModelKind.TRANSFORM}

    @property
    def lstm(self) -> bool:
        """True if it sees several rows at a time."""
        return self in {ModelKind.LSTM_AUTOENCODER, ModelKind.LSTM_FORECAST}

    @property
    def keras(self) -> bool:
        """True if it has the properties of a Keras network."""
        return self.lstm or self is ModelKind.KERAS


@dataclass(frozen=True, slots=True)
class ModelDefinition:
    """One model: its traits, and its dataset configuration in Gordo's own words.

    ``targets`` None means the same as ``tags``; ``components`` 0 chooses a number that fits the tags. ``window`` is
    the number of rows over which the ``smooth-*`` columns are rolled, 0 for a model without them.
    """

    name: str
    tags: tuple[str, ...]
    kind: ModelKind = ModelKind.PCA
    resolution: timedelta = timedelta(minutes=10)
    targets: tuple[str, ...] | None = None
    components: int = 0
    lookback: int = 6
    window: int = 0
    row_filter: str | tuple[str, ...] = ""
    filter_tags: tuple[str, ...] = ()
    aggregation: str = "mean"
    interpolation_method: str = "linear_interpolation"
    interpolation_limit: str | None = "48H"
    asset: str | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.tags or self.resolution <= timedelta(0) or self.lookback < 1:
            raise ValueError(f"a model has a name, tags, a resolution and a lookback: {self}")

    @property
    def target_list(self) -> tuple[str, ...]:
        """The columns of y."""
        return self.tags if self.targets is None else self.targets

    @property
    def offset(self) -> int:
        """Number of rows by which a response is shorter than its request; Gordo's ``model_offset``."""
        match self.kind:
            case ModelKind.LSTM_AUTOENCODER:
                return self.lookback - 1
            case ModelKind.LSTM_FORECAST:
                return self.lookback
            case _:
                return 0

    @property
    def loaded_tags(self) -> tuple[str, ...]:
        """Every tag that is read for the model, those of the row filter included."""
        return tuple(dict.fromkeys((*self.tags, *self.target_list, *self.filter_tags)))


@dataclass(frozen=True, slots=True)
class ProjectDefinition:
    """The models of one project in its newest revision and in others."""

    project: str
    models: tuple[ModelDefinition, ...]
    revision: str = REVISION
    others: Mapping[str, tuple[ModelDefinition, ...]] = field(default_factory=dict)


def frequency(resolution: timedelta) -> str:
    """Return a resolution as Gordo writes it, in the frequencies of pandas: ``5S``, ``10T``, ``1H``, ``1D``.

    Raises:
        ValueError: it is not a whole number of milliseconds.
    """
    for unit, length in (
        ("D", timedelta(days=1)),
        ("H", timedelta(hours=1)),
        ("T", timedelta(minutes=1)),
        ("S", timedelta(seconds=1)),
        ("L", timedelta(milliseconds=1)),
    ):
        count, rest = divmod(resolution, length)
        if count and not rest:
            return f"{count}{unit}"
    raise ValueError(f"a resolution is a whole number of milliseconds, not {resolution}")


def demo_project(
    plant: Plant,
    project: str,
    models: int,
    resolution: timedelta = timedelta(minutes=10),
    tags_per_model: int = 10,
    *,
    special: bool = True,
    revision: str = REVISION,
) -> ProjectDefinition:
    """Return a project whose models have sensors of their own, and install these in the plant.

    With ``special``, the second to the sixth model are of the less usual kinds (see `_TRAITS`). A silent sensor is
    interpolated for 12 rows only, so that silence is visible, unlike with Gordo's default of two days.
    """
    definitions: list[ModelDefinition] = []
    for number in range(models):
        area, tags = _tags(number, tags_per_model)
        traits = _TRAITS[number] if special and number < len(_TRAITS) else _Traits()
        switch = (f"{area}.XV-{number % 10_000:04d}.STATUS",) if traits.filtered else ()
        definitions.append(
            ModelDefinition(
                name=f"{_EQUIPMENT[number % len(_EQUIPMENT)]}-{number + 1:03d}",
                tags=tags,
                kind=traits.kind,
                resolution=resolution,
                targets=tags[: max(1, len(tags) // 2)] if traits.fewer_targets else None,
                window=traits.window,
                row_filter=f"`{switch[0]}` > 0.5" if switch else "",
                filter_tags=switch,
                interpolation_limit=frequency(12 * resolution),
                asset=f"{area}-DEMO",
            )
        )
        plant.install(definitions[-1].loaded_tags)
    return ProjectDefinition(project, tuple(definitions), revision)


@dataclass(frozen=True, slots=True)
class _Traits:
    kind: ModelKind = ModelKind.PCA
    filtered: bool = False
    fewer_targets: bool = False
    window: int = 0


_TRAITS: Sequence[_Traits] = (
    _Traits(),
    _Traits(ModelKind.PLAIN),
    _Traits(ModelKind.LSTM_AUTOENCODER),
    _Traits(filtered=True),
    _Traits(ModelKind.KERAS),
    _Traits(fewer_targets=True, window=12),
)


def _tags(number: int, count: int) -> tuple[int, tuple[str, ...]]:
    """Return the area of a model and its tags, such as ``1903.PT-0017.PV``: of one length, and unique."""
    per_quantity = -(-count // len(_QUANTITIES))
    serials = [
        (_QUANTITIES[index % len(_QUANTITIES)], number * per_quantity + index // len(_QUANTITIES))
        for index in range(count)
    ]
    tags = tuple(f"{_AREA + serial // 10_000}.{quantity}-{serial % 10_000:04d}.PV" for quantity, serial in serials)
    return _AREA + number * per_quantity // 10_000, tags


def demo_faults(
    definition: ProjectDefinition, *, start: datetime, every: timedelta, length: timedelta
) -> tuple[Fault, ...]:
    """Return faults for every fourth model of a project: one model after another, in each period of ``every``.

    Three of four are anomalies of one sensor (an offset or a drift), so that anomaly scores rise and fall; the
    fourth is a sensor that falls silent.
    """
    kinds = (FaultKind.OFFSET, FaultKind.DRIFT, FaultKind.OFFSET, FaultKind.SILENCE)
    faulty = definition.models[::4]
    return tuple(
        Fault(
            tag=model.tags[number % len(model.tags)],
            kind=kinds[number % len(kinds)],
            start=start + every * number / len(faulty) // _MICROSECOND * _MICROSECOND,
            length=length,
            every=every,
            size=0.4,
        )
        for number, model in enumerate(faulty)
    )
