"""What a status consists of: one typed part for each thing that the ledger knows of the service."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from latigo.domain.health import State
from latigo.domain.limits import BACKFILL_PAUSED
from latigo.ledger.protocol import MismatchKind
from latigo.reports.base import Report


class Planner(Report):
    """The scheduler that plans."""

    holder: str
    term: int


class ExecutorStatus(Report):
    """One executor that was seen within the last minute."""

    id: str
    version: str
    envelope_low: int
    envelope_high: int
    concurrency: int
    working_limit: int
    in_flight: int
    started_at: datetime
    seen_at: datetime
    drained_at: datetime | None = None  #: it starts no task since then
    drained_by: str = ""
    drain_reason: str = ""
    drain_stops: bool = False  #: its process ends when its tasks have


class ChangedLimit(Report):
    """A limit that was changed at run time, or that backfill is paused."""

    name: str  #: concurrency, backfill_share, outstanding or backfill_paused
    value: float
    who: str
    at: datetime
    reason: str

    @property
    def is_pause(self) -> bool:
        """True if it is no number, but the pause of backfill."""
        return self.name == BACKFILL_PAUSED


class ProjectStatus(Report):
    """One project: its model list, and its models by state."""

    project: str
    revision: str
    listed_at: datetime | None
    error: str  #: why its models cannot be listed
    doubted_since: datetime | None  #: quarantined: the list has lost too many models at once
    undescribed: int  #: listed, but their metadata could not be read yet: new, half-built or broken on the server
    active: int
    paused: int
    unusable: int
    missing: int  #: not listed by the server since less than a day
    retired: int  #: not listed for longer
    silent: int
    parked: int
    stale: int
    oldest: datetime | None  #: end of the newest settled slot of the model that is furthest behind
    backlog_slots: float = 0  #: slots that could be planned now
    not_built: int = 0  #: models that the server expects and does not list
    outdated_since: datetime | None = None  #: the server lists an older revision than that of the accepted list
    outdated_revision: str = ""  #: which
    fresh: int = 0  #: models; those that are paused, silent or new are neither fresh nor stale
    late: int = 0  #: stale models whose newest slots are neither parked nor wait for a recheck
    state: State = State.HEALTHY  #: by the causes that name it
    stuck: int = 0  #: models that are parked with their newest slot
    circuit: str = ""  #: why its model server is not used for now; empty: it is
    behind_s: float | None = None  #: from the end of what is settled of the model that is furthest behind


class BacklogTotals(Report):
    """Slots that could be planned now, and the calls that they cost when folded."""

    slots: int
    calls: int
    as_of: datetime | None = None  #: summed up at this time; None: now
    seconds: float | None = (
        None  #: until they are done, if live work goes first; None: unknown, as while a circuit is open, or never
    )


class OutstandingTasks(Report):
    """Tasks that are planned and not settled."""

    outstanding: int
    live: int
    waiting: int  #: for another attempt, or for the end of a pause; not among the outstanding ones
    unpublished: int
    oldest_live_at: datetime | None = None  #: when the live task that is out for longest was planned


class PartitionLag(Report):
    """One partition of the task queue, as the scheduler read it last."""

    channel: str
    partition: str
    last_sequence: int
    checkpoint: int | None
    lag: int
    read_at: datetime
    hub_recreated: bool  #: the hub was recreated after these checkpoints


class RefusedMessages(Report):
    """Messages of the queue that are no task for this service, by cause, in the last seven days."""

    reason: str
    messages: int
    newest: datetime
    example: str


class MismatchedMessages(Report):
    """Messages of the queue that the ledger, as it is, cannot have sent, by kind."""

    kind: str
    task: int  #: number of the task in the newest one
    first_at: datetime
    last_at: datetime  #: to the minute
    example: str

    @property
    def shows_restore(self) -> bool:
        """True if the ledger was restored from a backup and does not know it."""
        return MismatchKind(self.kind).shows_restore

    @property
    def what(self) -> str:
        """Where they were found."""
        in_sink = self.kind == MismatchKind.NEWER_PREDICTIONS
        return "a sink holds predictions" if in_sink else "the task queue has messages"


class QueueStatus(Report):
    """The task queue; empty where it has no partitions."""

    lag: int
    partitions: Sequence[PartitionLag]
    refused: Sequence[RefusedMessages]
    mismatched: Sequence[MismatchedMessages] = ()


class Rates(Report):
    """Rates of due and settled work in the last five minutes, and what is possible."""

    needed_slots_per_second: float
    covered_slots_per_second: float
    rows_per_second: float
    tasks_per_second: float
    recent_slots_per_second: float = 0  #: covered, since the first task of these five minutes was settled
    #: at one slot a call, by what live tasks took lately and how many calls model servers take at once; None: unknown
    possible_slots_per_second: float | None = None


class OpenCircuit(Report):
    """A downstream that is not used for now."""

    downstream: str
    reason: str
    alarm: bool
    opened_at: datetime
    pause_s: float
    probe_at: datetime | None = None


class SlotExceptions(Report):
    """Slots without all their rows, by project and state."""

    project: str
    state: str
    models: int
    slots: float


class ParkedModels(Report):
    """Models with something parked, by project and cause."""

    project: str
    reason: str
    models: int
    stuck: int  #: of them, those that are parked with their newest due slot: they get no more predictions
    since: datetime
    example: str
    sensor: str | None = None  #: the one that all of it is about


class UnstoredModels(Report):
    """Models whose newest settled slot lacks rows that its readings allow, by project and cause."""

    project: str
    reason: str
    models: int
    names: Sequence[str]  #: some of them
    example: str


class StaleModel(Report):
    """A late model: its newest due slots are not settled."""

    project: str
    model: str
    looked_until: datetime
    due: datetime


class SilentSensor(Report):
    """A sensor without readings, for which models wait that get no predictions meanwhile."""

    tag: str
    since: datetime  #: start of the first slot without a reading of it
    models: int
    projects: Sequence[str]


class BadReadingsOfTag(Report):
    """Readings that a source has and that cannot be used: skipped, of one tag, place and fault."""

    place: str  #: file, or measurement
    tag: str  #: empty for whole rows
    fault: str
    readings: int
    example: str
    first_at: datetime  #: when they were found
    last_at: datetime


class PendingRepairs(Report):
    """What an older write may have replaced, in a sink that cannot compare writers; predicted again."""

    models: int
    slots: float
    projects: Sequence[str] = ()
    due_at: datetime | None = None  #: when the first of it may be predicted: no write is under way there any more


class Pause(Report):
    """A project or model that are paused, with who, when and why."""

    project: str
    model: str  #: empty: the whole project
    who: str
    at: datetime
    reason: str


class UnbuiltModel(Report):
    """A model that its server expects and does not list."""

    project: str
    model: str
    since: datetime


class LackingSink(Report):
    """A required sink without some of what is covered: it joined later, or an executor did not know it."""

    sink: str  #: the name of its circuit
    since: datetime  #: when it became required
    models: int
    slots: int  #: that it lacks and would keep
    lost: int  #: slots that could not be had any more
    request: int | None  #: that copies them
    request_paused: bool = False

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.sink.partition("/")[2]


class OpenRequests(Report):
    """Requests for stretches of time that have not ended."""

    active: int = 0
    paused: int = 0


class SourceLateness(Report):
    """How late the readings of a source are, by the newest slots of the last 7 days when they were read."""

    source: str  #: the name of its circuit
    slots: int  #: that were read
    complete_share: float  #: of them, with the delays as they are
    delay: timedelta  #: which would make `COMPLETE` of them complete, as far as is known


class QueueOutage(Report):
    """Processes of one role that cannot reach the task queue."""

    role: str
    processes: int
    reason: str
    since: datetime


class DiscoveryTrouble(Report):
    """What names the projects cannot be used as it is now, so that its last accepted list holds."""

    source: str
    error: str  #: why there is no list; empty: there is one
    alarm: bool
    failing_since: datetime | None
    quarantined_since: datetime | None  #: its list lacks too many of the known models


class UnpostedMetadata(Report):
    """Models whose description could not be posted to the Metadata API so far."""

    models: int
    since: datetime | None = None  #: when the first of their windows was stored
    error: str = ""  #: of one of them
