"""Interfaces of foreign systems, on one screen.

Every method may be called by many coroutines at once. Every call has a time limit of its own and raises only
`latigo.domain.errors`: `Unavailable` and `TimedOut` name the downstream, `Rejected` is final. Nothing here
promises an order among concurrent calls. A provider is opened by ``latigo.wiring.resources`` as an async context
manager and not used after it is closed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, runtime_checkable

from latigo.domain.fence import Fence
from latigo.domain.model import DiscoveredProject, ModelRef, ModelSpec, ModelStatus
from latigo.domain.series import Column, Frame, Point, Predictions, Readings, Written
from latigo.domain.windows import Window


class SensorInformationProvider(Protocol):
    """List of sensors."""

    async def ping(self) -> str:
        """Do what the source is used for, and no more; return a short text for people, such as ``12 tags``.

        Raises:
            Unavailable, TimedOut: as every other call.
        """

    async def get_sensor_list(self) -> Sequence[str]:
        """Return every tag name of the source, sorted. May be slow; not for use in the pipeline."""

    async def sensor_exists(self, name: str) -> bool:
        """Return whether the source has a sensor of exactly this name, with or without readings."""


class SensorDataProvider(Protocol):
    """Readings. Not promised: that a second read of the same window gives the same readings, since they arrive late."""

    @property
    def downstream(self) -> str:
        """The name of its circuit, such as ``sensors/influx``."""

    async def ping(self) -> str:
        """See `SensorInformationProvider.ping`."""

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the request in the terms of the source: the query for InfluxDB, the file names for files.

        ``parameters`` select, such as ``{"tag": "GRA-TT-001"}``. For people and logs; holds no secrets.
        """

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return the raw readings with ``start <= time < end`` of every tag in ``tags``, in time order.

        A tag without readings in the window has an empty series; no tag is left out.

        Raises:
            TooLarge: the readings take more than ``max_bytes`` of memory; as early as it can be known.
            Rejected: ``UNKNOWN_SENSOR``, naming the tags that the source does not have.
            Unavailable: the source is unavailable, or its response is incomplete, which is never "no data".
        """

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        """Return each tag's last finite reading with ``not_older_than <= t < time``; tags without one are left out.

        A source that cannot look back returns an empty mapping.
        """


class SensorSource(SensorDataProvider, SensorInformationProvider, Protocol):
    """Readings, and the list of sensors: every source has both."""


class Part(NamedTuple):
    """Tags, and the source that they are read from."""

    source: SensorDataProvider
    tags: Sequence[str]


@runtime_checkable
class RoutedSource(Protocol):
    """A source that consists of several, each with a circuit of its own; any other source is one by itself."""

    @property
    def sources(self) -> Sequence[SensorSource]:
        """All of them, in the order of the settings."""

    def parts(self, tags: Sequence[str]) -> Sequence[Part]:
        """Divide tags among the sources; a source without a tag has no part. Calls no source."""


@dataclass(frozen=True, slots=True)
class SensorSample:
    """What a source has of one sensor, judged by a part of it."""

    tag: str
    readings: int  #: usable ones in the part that was read
    first: datetime | None = None  #: of all that the source has, as far as it is known
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceSample:
    """What a source has, judged by a part of it."""

    sensors: Sequence[SensorSample]
    notes: Sequence[str] = ()  #: what people should know of the source, in sentences


@runtime_checkable
class SampledSource(Protocol):
    """A source that can say what it holds; of others, the newest day is read."""

    async def sample(self, tags: Sequence[str]) -> SourceSample:
        """Read a little of what there is of each of these tags, and when it begins and ends."""


@runtime_checkable
class RetainingSource(Protocol):
    """A source that can say how long it keeps readings."""

    async def retention(self) -> timedelta | None:
        """Return how long readings are kept, by their time; None: none is dropped."""


@dataclass(frozen=True, slots=True)
class ProjectModels:
    """Models that a server lists for one project; with ``error`` set, there is nothing else."""

    project: str
    revision: str = ""
    models: tuple[str, ...] = ()  #: all of them, whether or not they are to be predicted
    error: Exception | None = None
    expected: tuple[str, ...] | None = None  #: those that it should have, built or not; None: it does not report them


class ModelDiscovery(Protocol):
    """What names the projects and models to predict. The model server executes them, and knows their metadata."""

    async def ping(self) -> str:
        """Return a short text for people, such as ``3 projects``.

        Raises:
            Unavailable, TimedOut: as every other call.
        """

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        """Return all of them, each project once: what is missing is not predicted any more.

        Raises:
            Unavailable, TimedOut: the list is not known, or not complete; the last one holds meanwhile.
        """


class ModelInformationProvider(Protocol):
    """Lists of models, and their metadata."""

    async def ping(self, project: str) -> str:
        """Read the list of a project; return a short text for people, such as its revision and number of models.

        Raises:
            Unavailable, TimedOut: as every other call.
        """

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:
        """Return all models of these projects in their newest revision; Latigo selects those to predict.

        One entry a project, always, in their order. A project that cannot be reached is an entry with an error, so that
        it does not stop the others.
        """

    async def model_exists(self, name: ModelRef) -> bool:
        """Return whether the server has the model in its newest revision."""

    async def get_model_spec(self, name: ModelRef, revision: str) -> ModelSpec:
        """Return what a task needs of the model's metadata. Not cached.

        Raises:
            Rejected: ``MODEL_GONE``, or ``BAD_METADATA`` naming the key.
            RevisionGone: the server does not have this revision.
        """


class ModelRoster(Protocol):
    """Latigo's own list of models that were registered or unregistered by hand; kept in the ledger."""

    async def add(self, name: ModelRef, data: Mapping[str, Any]) -> None:
        """Predict this model although the settings do not include it."""

    async def remove(self, name: ModelRef) -> None:
        """Stop predicting this model although the settings include it; its coverage stays."""

    async def entries(self) -> Mapping[ModelRef, bool]:
        """Return every decision made by hand: True registered, False unregistered."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Predictions of a model, not yet cropped, and the path that returned them."""

    predictions: Predictions
    anomaly: bool  #: came from ``anomaly/prediction``


class ModelExecutionProvider(Protocol):
    """Running models. Gordo has no other way to register a model than to build it, so the roster is Latigo's own.

    `latigo.providers.registration.RosterRegistration` keeps it, for any model server.
    """

    async def ping(self, project: str) -> str:
        """Reach the server that runs the models of a project, and run nothing; return a short text for people.

        Raises:
            Unavailable, TimedOut: as every other call.
        """

    async def register_model(self, model_data: Mapping[str, Any]) -> ModelRef:
        """Put a model of the server, ``{"project": ..., "name": ...}``, on Latigo's roster.

        Raises:
            Rejected: the server does not have it, or the keys are not as above.
        """

    async def unregister_model(self, name: ModelRef) -> None:
        """Stop predicting the model. Nothing is deleted, here or on the server."""

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        """Return the full status of one model, registered or not, whether or not it exists."""

    def servers(self, name: ModelRef) -> Sequence[str]:
        """Return the names of the circuits of the servers that can run a model, the one first that should.

        Empty where there is a single server, which has the circuit of the project alone.
        """

    def all_servers(self) -> Collection[str]:
        """Return the names of the circuits of all servers that are known; none as in `servers`."""

    async def execute_model(
        self, name: ModelSpec, window: Window, x: Frame, y: Frame, *, server: str = ""
    ) -> Execution:
        """Send X and y, already checked against the model's metadata, to the revision that ``name`` pins.

        ``server`` is one of `servers`, by default the first.

        X reaches back before ``window``, and so may the predictions, which are returned uncropped
        without ``start``, ``end`` and ``model-input``.

        Raises:
            Unavailable, TimedOut, Failed, RevisionGone, TooLarge, Rejected: as the table of status codes in
                documented in ``providers/gordo``.
        """


class PredictionStorageProvider(Protocol):
    """A store of predictions. Writing a point again replaces it; a point is (project, model, column, time)."""

    @property
    def downstream(self) -> str:
        """The name of its circuit, such as ``sink/postgres``; also how a task records which sinks have its result."""

    @property
    def fenced(self) -> bool:
        """Whether the store compares writers, and so keeps a point from an older one.

        Otherwise the claim is checked immediately before each write, and a window that an overtaken executor may have
        written is predicted again.
        """

    async def ping(self, projects: Sequence[str]) -> str:
        """Read from every place where predictions of these projects go; return a short text for people.

        Changes nothing. A sink that cannot be read raises `NotImplementedError`.

        Raises:
            Unavailable, TimedOut: as every other call.
        """

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        """Write every finite point; return the rows that the sink now holds.

        A store that is ``fenced`` keeps the ``fence`` of each row, and does not replace a row whose fence is greater:
        the result is without it. An equal one replaces; a row without a fence is the oldest.

        Coverage follows this answer. A row is reported when its finite points, at least one, are stored as given, now
        or before; a row without a finite point is never reported. A sink may report fewer rows than it was given,
        because it dropped or refused some of them. When the call returns, the reported rows survive a crash of the
        sink. Not promised: that a failed call has written nothing.

        Raises:
            Rejected: ``WRITE_REFUSED``, naming the series.
            TooLarge, Unavailable, TimedOut: as everywhere.
        """

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:
        """Return what is stored for the window, one entry a revision, each in time order; empty if nothing is.

        A sink that cannot be read raises `NotImplementedError`.
        """


class NamedSeries(NamedTuple):
    """A series of a sink that names its series."""

    name: str
    id: str
    description: str = ""


class NamingSink(Protocol):
    """A sink whose series have names and ids of their own."""

    async def identify(
        self, model: ModelRef, tags: Sequence[str], columns: Sequence[Column]
    ) -> tuple[Sequence[NamedSeries], Sequence[NamedSeries]]:
        """Return the series of these tags, and those of these columns, which are created where there are none.

        Raises:
            Rejected: ``UNKNOWN_SENSOR``, naming the tags that the service does not have.
            Unavailable, TimedOut: as every other call.
        """


class PredictionMetadataProvider(Protocol):
    """What knows which models there are predictions of."""

    @property
    def downstream(self) -> str:
        """Its name in errors."""

    async def post_model(self, document: Mapping[str, Any]) -> None:
        """Add the description of a model in a revision; twice adds two, so a failure leaves open whether it was added.

        Raises:
            Failed: it is refused as it stands.
            Unavailable, TimedOut: as every other call.
        """
