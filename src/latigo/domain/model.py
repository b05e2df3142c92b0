"""Models: their names and the part of their metadata that Latigo keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple


class ModelRef(NamedTuple):
    """The identity of a model (Gordo: machine): its project and its name."""

    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Parse ``project/name``.

        Raises:
            ValueError: the text is not two non-empty parts with one slash between them.
        """
        project, slash, name = text.partition("/")
        if not (project and slash and name) or "/" in name:
            raise ValueError(f"a model is written PROJECT/MODEL, not {text!r}")
        return cls(project, name)


class DiscoveredProject(NamedTuple):
    """A project whose models are to be predicted."""

    project: str
    models: tuple[str, ...] | None = None  #: their names; None: all that the model server lists


@dataclass(frozen=True, slots=True)
class DatasetConfig:
    """The part of a model's dataset configuration that determines how X and y are made from raw readings.

    Field names are Gordo's; defaults are gordo-core's. ``filter_tags`` are the tags that only the row filter reads.
    The data provider is omitted on purpose: it may hold secrets, and nothing here needs it.
    """

    tag_list: tuple[str, ...]
    target_tag_list: tuple[str, ...]
    resolution: timedelta = timedelta(minutes=10)
    aggregation: str = "mean"
    interpolation_method: str = "linear_interpolation"
    interpolation_limit: timedelta | None = timedelta(hours=48)  #: None: unlimited
    row_filter: str = ""  #: lists are joined already, as gordo-core joins them
    filter_tags: tuple[str, ...] = ()

    #: All tags to read, without duplicates, in the order in which gordo-core reads them.
    tags: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tags = tuple(dict.fromkeys((*self.tag_list, *self.target_tag_list, *self.filter_tags)))
        object.__setattr__(self, "tags", self.tag_list if tags == self.tag_list else tags)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The part of a model's metadata that a task needs, about 2 kB."""

    ref: ModelRef
    revision: str
    dataset: DatasetConfig
    model_offset: int = 0  #: number of rows by which an answer is shorter than its request
    anomaly: bool | None = None  #: whether it answers on ``anomaly/prediction``; None: unknown
    accepts_nan: bool = False  #: accepts values that are not finite (Keras does, scikit-learn does not)
    assets: dict[str, str] = field(default_factory=dict)  #: asset or facility by tag, where the metadata names one
    #: Begin and end of the training data as the metadata has them; for people, so neither kept nor compared.
    trained: tuple[str, str] | None = field(default=None, compare=False)

    @property
    def context(self) -> timedelta:
        """Time before the window at which X begins: ``model_offset`` + 5 rows, as in Gordo's own client."""
        return (self.model_offset + 5) * self.dataset.resolution

    @property
    def rows_needed(self) -> int:
        """Minimum number of rows of X that the model answers."""
        return self.model_offset + 2 if self.model_offset else 1

    def to_json(self) -> dict[str, Any]:
        """Return the form that ledger and queue keep; project, name and revision are kept separately."""
        dataset = self.dataset
        limit = dataset.interpolation_limit
        return {
            "tag_list": list(dataset.tag_list),
            "target_tag_list": list(dataset.target_tag_list),
            "resolution": dataset.resolution.total_seconds(),
            "aggregation": dataset.aggregation,
            "interpolation_method": dataset.interpolation_method,
            "interpolation_limit": None if limit is None else limit.total_seconds(),
            "row_filter": dataset.row_filter,
            "filter_tags": list(dataset.filter_tags),
            "model_offset": self.model_offset,
            "accepts_nan": self.accepts_nan,
            "assets": self.assets,
        }

    @classmethod
    def from_json(cls, ref: ModelRef, revision: str, anomaly: bool | None, data: Mapping[str, Any]) -> "ModelSpec":
        """Create a spec from what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: the data has another form.
        """
        limit = data["interpolation_limit"]
        return cls(
            ref=ref,
            revision=revision,
            dataset=DatasetConfig(
                tag_list=tuple(data["tag_list"]),
                target_tag_list=tuple(data["target_tag_list"]),
                resolution=timedelta(seconds=data["resolution"]),
                aggregation=data["aggregation"],
                interpolation_method=data["interpolation_method"],
                interpolation_limit=None if limit is None else timedelta(seconds=limit),
                row_filter=data["row_filter"],
                filter_tags=tuple(data["filter_tags"]),
            ),
            model_offset=data["model_offset"],
            anomaly=anomaly,
            accepts_nan=data["accepts_nan"],
            assets=_texts(data["assets"]),
        )


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or {*map(type, value), *map(type, value.values())} - {str}:
        raise TypeError("assets are texts by tag")
    return value


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Full status of one model, from the server and the roster."""

    ref: ModelRef
    revision: str
    exists: bool
    registered: bool | None  #: None: neither registered nor unregistered by hand
    spec: ModelSpec | None
    metadata: Mapping[str, Any]  #: as the server has it; empty when the model does not exist
    problem: str = ""  #: why it cannot be predicted, as far as it is known
