"""The tables of the configuration file: every key, its default and what it means."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from latigo.runtime.azure import IdentityKind
from latigo.settings.event_hubs import HubAddress, hub_in_namespace, parse_connection_string
from latigo.settings.keys import PLUGIN, installed_plugins, secret_names
from latigo.settings.values import (
    Duration,
    Glob,
    Globs,
    HttpUrl,
    InfluxName,
    Interval,
    PathName,
    PluginKind,
    Positive,
    Projects,
    Secret,
    Secrets,
    Separator,
    Text,
    point_to_files,
    postgres_url,
    time_zone,
)

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Section(BaseModel):
    """One table of the configuration file: frozen, knows all its keys, never shows its secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, given: Any) -> Any:
        return point_to_files(given, secret_names(cls)) if isinstance(given, Mapping) else given


class ScheduleSettings(Section):
    """``[schedule]``."""

    interval: Interval = Field(
        default=timedelta(minutes=30),
        description="Length of a slot; rounded up to a multiple of the model's resolution that divides a day.",
    )
    delay: Duration = Field(
        default=timedelta(minutes=5),
        description="Time after the end of a slot until it is due, so that its readings have arrived.",
    )
    max_window: Positive = Field(
        default=timedelta(days=1), description="Longest window folded into one task; at least one slot."
    )


class BackfillSettings(Section):
    """``[backfill]``."""

    horizon: Duration = Field(
        default=timedelta(days=7), description='How far back a newly seen model is covered; "0" for none.'
    )
    max_catch_up: Positive = Field(
        default=timedelta(days=30), description="Older holes expire; they are recorded and counted."
    )
    min_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of task starts that backfill gets even while live work is late."
    )


class PlannerSettings(Section):
    """``[planner]``."""

    lease: Positive = Field(
        default=timedelta(seconds=15), description="How long a scheduler may plan before it has to renew its term."
    )
    renew: Positive = Field(default=timedelta(seconds=5), description="How often it renews its term.")
    max_clock_difference: Positive = Field(
        default=timedelta(seconds=30),
        description="Planning stops while the clocks of process and database are further apart.",
    )


class _Ledger(Section):
    kind: str
    pool_size: int = Field(default=10, ge=2, le=200, description="Most connections one process opens.")
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")
    statement_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit of one statement, those of the PostgreSQL sink included."
    )
    history: Positive = Field(
        default=timedelta(days=30), description="How long settled tasks and attempts are kept, in daily partitions."
    )


class EmbeddedLedger(_Ledger):
    """PostgreSQL started by Latigo itself; one machine, nothing to install."""

    kind: Literal["embedded"] = Field(default="embedded", description="Where the ledger is kept.")
    data_dir: PathName = Field(
        default=Path("~/.local/share/latigo/ledger"),
        description="Folder of its files; below $XDG_DATA_HOME where that is set.",
    )


class PostgresLedger(_Ledger):
    """A PostgreSQL server, version 14 or newer."""

    kind: Literal["postgres"] = Field(default="postgres", description="Where the ledger is kept.")
    url: Annotated[Secret, AfterValidator(postgres_url)] = Field(
        description="URL of the database.", examples=["postgresql://latigo:password@localhost:5432/latigo"]
    )


class _Queue(Section):
    kind: str
    max_outstanding: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Most tasks published and not yet settled, over all lanes; 0 for two minutes of throughput.",
    )


class InternalQueue(_Queue):
    """Between the roles of one process; what was in flight is planned again."""

    kind: Literal["internal"] = Field(default="internal", description="How tasks get from scheduler to executor.")


class EventHubQueue(_Queue):
    """Azure Event Hubs: one scheduler, any number of executors; ownership and checkpoints are in the ledger."""

    kind: Literal["eventhub"] = Field(default="eventhub", description="How tasks get from scheduler to executors.")
    connection_string: Secret | None = Field(
        default=None,
        description="With a shared access key or signature; without it, namespace and credential are used.",
        examples=["Endpoint=sb://plant.servicebus.windows.net/;SharedAccessKeyName=latigo;SharedAccessKey=key"],
        json_schema_extra={"in_example": True},  # without it the example could not be used
    )
    namespace: Text | None = Field(
        default=None,
        description="Fully qualified, for a login without a key.",
        examples=["plant.servicebus.windows.net"],
    )
    hub: Text | None = Field(
        default=None,
        description="Name of the event hub; a connection string may hold it.",
        examples=["latigo"],
        json_schema_extra={"in_example": True},
    )
    consumer_group: Text = Field(
        default="$Default", description="Consumer group of the executors; no other program may read with it."
    )
    credential: IdentityKind = Field(
        default="default", description="How to log in to a namespace; default tries what the environment offers."
    )
    tenant_id: Text | None = Field(
        default=None, description="For client_secret and client_certificate.", examples=["a-tenant-id"]
    )
    client_id: Text | None = Field(
        default=None,
        description="For client_secret, and for an identity that is not the only one.",
        examples=["a-client-id"],
    )
    client_secret: Secret | None = Field(default=None, description="For client_secret.", examples=["a-secret"])
    certificate_file: PathName | None = Field(
        default=None, description="For client_certificate, PEM or PKCS12.", examples=["/etc/latigo/client.pem"]
    )
    custom_endpoint: Text | None = Field(
        default=None, description="A gateway in between, host:port.", examples=["gateway:443"]
    )
    transport: Literal["tcp", "websocket"] = Field(
        default="tcp", description="websocket goes through port 443 where 5671 is closed."
    )
    ca_file: PathName | None = Field(
        default=None, description="Authorities to trust instead of the system's.", examples=["/etc/ssl/plant-ca.pem"]
    )
    balance: Positive = Field(
        default=timedelta(seconds=10), description="How often executors balance the partitions among themselves."
    )
    expiration: Positive = Field(
        default=timedelta(seconds=30),
        description="How long a partition stays with an executor that does not renew it; then another one takes it.",
    )

    @property
    def address(self) -> HubAddress:
        """Where the hub is."""
        if self.connection_string is not None:
            return parse_connection_string(self.connection_string.get_secret_value(), self.hub or "")
        return hub_in_namespace(self.namespace or "", self.hub or "")

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if (self.connection_string is None) == (self.namespace is None):
            raise ValueError("give either connection_string, or namespace and hub")
        if self.namespace is not None and self.hub is None:
            raise ValueError("hub is missing, which goes with namespace")
        _ = self.address  # which raises what is wrong with it
        if self.credential == "client_secret" and not (self.tenant_id and self.client_id and self.client_secret):
            raise ValueError('credential = "client_secret" needs tenant_id, client_id and client_secret')
        if self.credential == "client_certificate" and not (
            self.tenant_id and self.client_id and self.certificate_file
        ):
            raise ValueError('credential = "client_certificate" needs tenant_id, client_id and certificate_file')
        if self.expiration < 2 * self.balance:
            raise ValueError("expiration should be at least twice balance, or partitions change hands for nothing")
        return self


class GordoModels(Section):
    """A Gordo server."""

    kind: Literal["gordo"] = Field(default="gordo", description="Kind of the model server.")
    url: HttpUrl = Field(default="http://localhost:5555", description="URL of the server.")
    projects: Projects = Field(
        default=(), description="Projects whose models are predicted; with none, only models registered by hand."
    )
    include: Globs = Field(
        default=("*",), description="Patterns on project/model; models that match none of them are left out."
    )
    exclude: Globs = Field(
        default=(), description="Patterns on project/model that are left out; stronger than include."
    )
    refresh: Positive = Field(
        default=timedelta(minutes=5), description="How often the lists of models and revisions are read."
    )
    token: Secret | None = Field(
        default=None, description="Bearer token sent with every request.", examples=["a-bearer-token"]
    )
    headers: Secrets = Field(
        default_factory=dict,
        description="Further headers sent with every request.",
        examples=[{"X-Api-Key": "an-api-key"}],
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")
    list_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit to read a list of models or the metadata of one."
    )
    predict_timeout: Positive = Field(default=timedelta(seconds=300), description="Time limit of one prediction.")


class _Sensors(Section):
    kind: str
    read_budget: ByteSize = Field(
        default=ByteSize(128_000_000),
        ge=1_000_000,
        description="Memory that all readings of one process share; a window that would exceed its share is split.",
    )


class FileSensors(_Sensors):
    """CSV or Parquet files."""

    kind: Literal["files"] = Field(default="files", description="Where readings come from.")
    path: PathName = Field(
        default=Path("sensors"), description="A file, a folder of files, or a pattern such as *.csv."
    )
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")
    format: Literal["auto", "csv", "parquet"] = Field(default="auto", description="auto goes by the file's ending.")
    layout: Literal["wide", "long"] = Field(
        default="wide", description="wide has one column a tag, long has one row a reading."
    )
    separator: Separator = Field(default=",", description="Separator of columns in a CSV file.")
    decimal_point: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        default=".", description="Decimal point of numbers in a CSV file."
    )
    time_column: Text = Field(default="time", description="Column of the times.")
    timezone: Annotated[str, AfterValidator(time_zone)] = Field(
        default="UTC", description="Time zone of times without an offset from UTC."
    )
    tag_column: Text = Field(default="tag", description="Column of the tags, in the long layout.")
    value_column: Text = Field(default="value", description="Column of the values, in the long layout.")

    @field_validator("decimal_point")
    @classmethod
    def _not_the_separator(cls, decimal_point: str, given: ValidationInfo) -> str:
        if decimal_point == given.data.get("separator"):
            raise ValueError(f"should not be {decimal_point!r}, which is the separator")
        return decimal_point


class _Influx(Section):
    """Keys of both source and sink."""

    url: HttpUrl = Field(default="http://localhost:8086", description="URL of the server.")
    version: Literal["1", "2", "3"] = Field(
        default="1", description="Version of the server; 2 and 3 are used through their endpoints for clients of 1."
    )
    retention_policy: InfluxName | None = Field(
        default=None, description="Instead of the database's default one.", examples=["one_year"]
    )
    username: Text | None = Field(default=None, description="For version 1, with password.", examples=["latigo"])
    password: Secret | None = Field(default=None, description="Of username.", examples=["a-password"])
    token: Secret | None = Field(default=None, description="For version 2 and 3.", examples=["a-token"])
    ca_file: PathName | None = Field(
        default=None, description="Authorities to trust instead of the system's.", examples=["/etc/ssl/plant-ca.pem"]
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")

    @field_validator("url")
    @classmethod
    def _no_braces(cls, url: str) -> str:
        if "{" in url or "}" in url:
            raise ValueError("holds braces, which stand for something else in aioinflux")
        return url

    @field_validator("username", "password", "token")
    @classmethod
    def _fits_into_a_header(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        if _CONTROL_CHARACTER.search(text):
            raise ValueError("must not hold control characters")
        if info.field_name == "username" and ":" in text:
            raise ValueError("must not hold a colon")
        return value

    @field_validator("ca_file")
    @classmethod
    def _of_https_only(cls, ca_file: Path | None, info: ValidationInfo) -> Path | None:
        if ca_file is not None and str(info.data.get("url", "https:")).startswith("http:"):
            raise ValueError("is of no use with url, which is not https")
        return ca_file

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.token is not None and self.username is not None:
            raise ValueError("give either token, or username and password")
        return self


class InfluxSensors(_Influx, _Sensors):
    """InfluxDB 1.x, or a server that understands its queries."""

    kind: Literal["influx"] = Field(default="influx", description="Where readings come from.")
    database: InfluxName = Field(default="sensors", description="Database of the readings.")
    measurement: InfluxName = Field(default="sensors", description="Measurement of the readings.")
    tag_key: InfluxName = Field(default="tag", description="Key of the tag that names the sensor.")
    field: InfluxName = Field(default="Value", description="Field of the value.")
    read_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one read.")


class SimulatedSensors(_Sensors):
    """Made-up readings of any tag, the same for the same seed: for demonstrations, never for a plant."""

    kind: Literal["simulated"] = Field(default="simulated", description="Where readings come from.")
    seed: int = Field(default=0, ge=0, description="Seed of the readings.")
    step: Positive = Field(default=timedelta(seconds=10), description="Time between two readings of a tag.")


class _Plugin(Section):
    options: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Keyword arguments of the factory.",
        examples=[{"region": "north"}],
    )
    secrets: Secrets = Field(
        default_factory=dict,
        description="Further keyword arguments of the factory, never shown.",
        examples=[{"password": "a-password"}],
    )


class PluginSensors(_Plugin, _Sensors):
    """A source of your own: the factory of a Python module, or the name by which a package offers one."""

    kind: PluginKind = Field(description="Where readings come from.", examples=[PLUGIN])


class _Sink(Section):
    kind: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.:-]*$")] | None = Field(
        default=None, description="Name of the sink in logs and circuits; without it, its kind.", examples=["history"]
    )
    required: bool = Field(default=True, description="Whether a task counts as stored only once this sink has it.")

    @property
    def sink_name(self) -> str:
        """Return the name of the sink in logs, circuits and the ledger; no two sinks have the same."""
        return self.name or self.kind.removeprefix("python:").lower()


class PostgresSink(_Sink):
    """The ledger's own database."""

    kind: Literal["postgres"] = Field(default="postgres", description="Where predictions go.")
    retention: Positive = Field(
        default=timedelta(days=90), description="How long predictions are kept, by their data time."
    )
    write_timeout: Positive = Field(default=timedelta(seconds=60), description="Time limit of one write.")


class InfluxSink(_Influx, _Sink):
    """InfluxDB 1.x in Gordo's own layout, so that boards made for it go on working."""

    kind: Literal["influx"] = Field(default="influx", description="Where predictions go.")
    database: InfluxName = Field(
        default="predictions",
        description='Database of the predictions; has to exist. "pred-{project}" is one for each project.',
    )
    write_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit of one request; a long window is written in several."
    )


class PluginSink(_Plugin, _Sink):
    """A sink of your own: the factory of a Python module, or the name by which a package offers one."""

    kind: PluginKind = Field(description="Where predictions go.", examples=[PLUGIN])


class ExecutorSettings(Section):
    """``[executor]``."""

    concurrency: int = Field(
        default=32, ge=1, le=1024, description="Most tasks at once; the working limit adapts to the model server."
    )
    grace: Duration = Field(
        default=timedelta(seconds=25), description="Time to finish or hand back the tasks in flight after SIGTERM."
    )
    lease: Positive = Field(default=timedelta(seconds=30), description="How long a claim on a task lasts.")
    renew: Positive = Field(default=timedelta(seconds=10), description="How often a claim is renewed.")
    hard_limit: Positive = Field(
        default=timedelta(minutes=15),
        description="Longest time of work on a task, not counting waits for its turn; a call cut by it counts as"
        " unanswered.",
    )
    max_attempts: int = Field(default=5, ge=1, le=100, description="Failed attempts before a task is parked.")
    backoff_first: Positive = Field(default=timedelta(seconds=30), description="Wait after the first failed attempt.")
    backoff_longest: Positive = Field(
        default=timedelta(hours=1), description="The wait doubles with every attempt, up to this."
    )


class CircuitSettings(Section):
    """``[circuit]``."""

    failures: int = Field(default=5, ge=1, description="Failures in a row that open a circuit.")
    share: float = Field(default=0.5, gt=0, le=1, description="Share of failures among the last calls that opens it.")
    last: int = Field(default=20, ge=1, le=1000, description="How many last calls the share is taken of.")
    probe_first: Positive = Field(default=timedelta(seconds=15), description="Wait before the first probe.")
    probe_longest: Positive = Field(
        default=timedelta(minutes=2), description="The wait doubles with every failed probe, up to this."
    )


class HttpSettings(Section):
    """``[http]``."""

    enabled: bool = Field(default=True, description="Whether to listen at all.")
    host: Text = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    token: Secret | None = Field(
        default=None,
        description="Bearer token of requests that change something; without it they are refused.",
        examples=["a-bearer-token"],
    )


class LogSettings(Section):
    """``[log]``."""

    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto is console on a terminal, json elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The lowest level that is logged."
    )


class Override(Section):
    """One ``[[override]]``."""

    match: Glob = Field(description="Pattern on project/model.", examples=["plant-a/slow-*"])
    interval: Interval | None = Field(default=None, description="Instead of schedule.interval.", examples=["1h"])
    delay: Duration | None = Field(default=None, description="Instead of schedule.delay.", examples=["3h"])
    horizon: Duration | None = Field(default=None, description="Instead of backfill.horizon.", examples=["1d"])
    enabled: bool | None = Field(default=None, description="false stops predicting them.", examples=[False])

    @model_validator(mode="after")
    def _sets_something(self) -> Self:
        if self.model_fields_set <= {"match"}:
            raise ValueError("sets nothing: give interval, delay, horizon or enabled")
        return self


def _kind(default: str, *others: str, plugins: str = "") -> Discriminator:
    """Discriminate the alternatives of a section by kind; names of installed plug-ins count as ``python:``."""
    ours = {default, *others}

    def kind(value: Any) -> str:
        given = value.get("kind", default) if isinstance(value, Mapping) else getattr(value, "kind", default)
        name = str(given)
        if name.startswith("python:") or (plugins and name not in ours and name in installed_plugins(plugins)):
            return "python"
        return name

    return Discriminator(kind)


Ledger = Annotated[
    Annotated[EmbeddedLedger, Tag("embedded")] | Annotated[PostgresLedger, Tag("postgres")], _kind("embedded")
]
Sensors = Annotated[
    Annotated[FileSensors, Tag("files")]
    | Annotated[InfluxSensors, Tag("influx")]
    | Annotated[SimulatedSensors, Tag("simulated")]
    | Annotated[PluginSensors, Tag("python")],
    _kind("files", "influx", "simulated", plugins="sensors"),
]
Sink = Annotated[
    Annotated[PostgresSink, Tag("postgres")]
    | Annotated[InfluxSink, Tag("influx")]
    | Annotated[PluginSink, Tag("python")],
    _kind("postgres", "influx", plugins="predictions"),
]
TaskQueue = Annotated[
    Annotated[InternalQueue, Tag("internal")] | Annotated[EventHubQueue, Tag("eventhub")], _kind("internal")
]
