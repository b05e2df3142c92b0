"""``[task_queue]``: the channel between scheduler and executors."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from latigo.runtime.azure import IdentityKind
from latigo.settings.sections.base import Section, by_kind
from latigo.settings.sections.event_hubs import HubAddress, hub_in_namespace, parse_connection_string
from latigo.settings.sections.login import EntraIdentity
from latigo.settings.values import PathName, Positive, Secret, Text


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


class PostgresQueue(_Queue):
    """The ledger's own database: any number of schedulers and executors."""

    kind: Literal["postgres"] = Field(default="postgres", description="How tasks get from scheduler to executors.")
    expiration: Positive = Field(
        default=timedelta(seconds=30),
        description="How long tasks stay with an executor that is not seen any more; then others get them.",
    )


class EventHubQueue(EntraIdentity, _Queue):
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
        """Address of the hub."""
        if self.connection_string is not None:
            return parse_connection_string(self.connection_string.get_secret_value(), self.hub or "")
        return hub_in_namespace(self.namespace or "", self.hub or "")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.connection_string is None) == (self.namespace is None):
            raise ValueError("give either connection_string, or namespace and hub")
        if self.namespace is not None and self.hub is None:
            raise ValueError("hub is missing, which goes with namespace")
        _ = self.address  # which raises what is wrong with it
        if self.expiration < 2 * self.balance:
            raise ValueError("expiration should be at least twice balance, or partitions move without need")
        return self


TaskQueue = Annotated[
    Annotated[InternalQueue, Tag("internal")]
    | Annotated[PostgresQueue, Tag("postgres")]
    | Annotated[EventHubQueue, Tag("eventhub")],
    by_kind("internal"),
]
