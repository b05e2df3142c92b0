"""Where the event hub is, who we are there, and clients for it with the settings that were found to work.

The client library hangs or loops in silence when things go wrong (refused connections, rejected tokens, peers that
never answer), so nothing here waits for it without a time limit of our own, and all that it raises becomes
`Unavailable`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import structlog
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub import TransportType
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError, OperationTimeoutError
from azure.identity import aio as identity

from latigo.domain.errors import ConfigurationError, LatigoError, TimedOut, Unavailable
from latigo.runtime.clock import Clock
from latigo.runtime.http import tls_context
from latigo.runtime.redaction import mask_text
from latigo.task_queue.eventhub.checkpoints import PostgresCheckpointStore
from latigo.task_queue.eventhub.limits import limited
from latigo.task_queue.eventhub.partitions import Partition

_log = structlog.get_logger()

DOWNSTREAM = "task_queue/eventhub"
GROUP = "$Default"  #: the consumer group that every hub has
IDLE_SECONDS = 120  # without it a connection whose packets are dropped in silence is never given up
TOKEN_LIMIT = timedelta(seconds=30)
CLOSE_LIMIT = timedelta(seconds=10)
#: A token is fetched anew when so much of its life is left.
TOKEN_MARGIN = timedelta(minutes=5)
#: Conditions that waiting does not change.
_NEEDS_OPERATOR = frozenset({"unauthorized-access", "not-found", "auth-failed"})
_LONGEST_MESSAGE = 400

AnyClient = EventHubConsumerClient | EventHubProducerClient


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in Microsoft Entra ID, where there is no shared access key.

    Args:
        kind: how to prove it; ``default`` tries what the environment offers.
        tenant_id: for ``client_secret`` and ``client_certificate``.
        client_id: for those; for ``managed_identity`` the user-assigned one, if any.
        client_secret: for ``client_secret``.
        certificate_path: for ``client_certificate``, a PEM or PKCS12 file without password.
    """

    kind: Literal["default", "managed_identity", "workload_identity", "client_secret", "client_certificate"] = "default"
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    certificate_path: str = ""

    def __post_init__(self) -> None:
        needed = {
            "client_secret": ("tenant_id", "client_id", "client_secret"),
            "client_certificate": ("tenant_id", "client_id", "certificate_path"),
        }.get(self.kind, ())
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ConfigurationError(f"task_queue: {self.kind} needs {' and '.join(missing)}")


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where the event hub is: by a connection string with a key or signature, or by namespace and identity.

    Args:
        connection_string: as the portal shows it, with or without ``EntityPath``. ``UseDevelopmentEmulator=true`` turns
            TLS off.
        namespace: fully qualified, without scheme, where there is no connection string.
        hub: its name; may be left out where the connection string has it.
        identity: where there is no connection string.
        transport: AMQP over TCP (port 5671), or over WebSockets (443) where only those get out.
        custom_endpoint: ``host:port`` of a gateway in between.
        tls: False only for an emulator that is reached by namespace and identity.
        ca_file: authorities to trust instead of the system's, in PEM.

    Raises:
        ConfigurationError: it does not fit together; the message never holds what is secret.
    """

    connection_string: str = field(default="", repr=False)
    namespace: str = ""
    hub: str = ""
    identity: Identity | None = None
    transport: Literal["tcp", "websocket"] = "tcp"
    custom_endpoint: str = ""
    tls: bool = True
    ca_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.connection_string) == bool(self.namespace):
            raise ConfigurationError("task_queue: either connection_string, or namespace and hub")
        if self.connection_string and self.identity:
            raise ConfigurationError("task_queue: connection_string and identity exclude each other")
        if self.namespace and not self.identity:
            object.__setattr__(self, "identity", Identity())
        known = _Parts.of(self)
        if not known.hub:
            raise ConfigurationError("task_queue.hub is missing, and connection_string has no EntityPath")

    @property
    def channel(self) -> str:
        """How ledger and checkpoints call it."""
        known = _Parts.of(self)
        return f"eventhub/{known.host}/{known.hub}"


class _Parts(NamedTuple):
    """What the client library wants to know apart."""

    host: str
    hub: str
    key_name: str
    key: str = ""
    signature: str = ""
    tls: bool = True

    def __repr__(self) -> str:
        return f"{self.host}/{self.hub}"

    @classmethod
    def of(cls, address: HubAddress) -> "_Parts":
        if address.namespace:
            if urlsplit(f"//{address.namespace}").netloc != address.namespace:
                raise ConfigurationError("task_queue.namespace is a host name, such as name.servicebus.windows.net")
            return cls(address.namespace, address.hub, "", tls=address.tls)
        pairs = (part.partition("=") for part in address.connection_string.strip().split(";") if part.strip())
        given = {name.strip().lower(): value.strip() for name, _, value in pairs}
        host = urlsplit(given.get("endpoint", "")).netloc
        key_name, key = given.get("sharedaccesskeyname", ""), given.get("sharedaccesskey", "")
        signature = given.get("sharedaccesssignature", "")
        if not host:
            raise ConfigurationError("task_queue.connection_string has no Endpoint=sb://...")
        if bool(key_name and key) == bool(signature) or bool(key_name) != bool(key):
            raise ConfigurationError(
                "task_queue.connection_string needs SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature"
            )
        if signature and "se=" not in signature:
            raise ConfigurationError("task_queue.connection_string has a SharedAccessSignature without expiry")
        if address.hub and given.get("entitypath", address.hub) != address.hub:
            raise ConfigurationError("task_queue.hub is not the EntityPath of connection_string")
        emulator = given.get("usedevelopmentemulator", "").lower() == "true"
        return cls(host, address.hub or given.get("entitypath", ""), key_name, key, signature, not emulator)


@dataclass(frozen=True, slots=True)
class Balancing:
    """How partitions are shared out; with these, work of a process that died goes on after about 30 s.

    Args:
        every: between two looks at who owns what; a partition more moves to a new process in each.
        lease: a partition whose owner has not renewed it for so long is free.
    """

    every: timedelta = timedelta(seconds=10)
    lease: timedelta = timedelta(seconds=30)


class SingleFlight:
    """A credential that asks for a token once, however many connections are being opened.

    ``failure`` is what the last attempt ended with: the client library does not tell a refused login from other errors.
    """

    def __init__(self, credential: Any, clock: Clock) -> None:
        self.failure: BaseException | None = None
        self._credential = credential
        self._clock = clock
        self._lock = asyncio.Lock()
        self._tokens: dict[tuple[str, ...], AccessToken] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The token for these scopes, from memory while it is fresh."""
        async with self._lock:
            token = self._tokens.get(scopes)
            if token is None or token.expires_on - self._clock.now().timestamp() < TOKEN_MARGIN.total_seconds():
                token = self._tokens[scopes] = await self._ask(*scopes, **options)
            return token

    async def close(self) -> None:
        """Let go of connections."""
        await self._credential.close()

    async def _ask(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            token: AccessToken = await limited(self._credential.get_token(*scopes, **options), TOKEN_LIMIT)
        except Exception as error:
            self.failure = error
            raise
        self.failure = None
        return token


class Hub:
    """Makes clients of one event hub. Opened by `open_hub`.

    ``trouble`` is what the last call ended with, of whichever client; empty when the hub answered.
    """

    def __init__(
        self, address: HubAddress, credential: AzureNamedKeyCredential | AzureSasCredential | SingleFlight, clock: Clock
    ) -> None:
        parts = _Parts.of(address)
        self.channel = address.channel
        self.clock = clock
        self.trouble = "event hub: has not answered yet"
        self._credential = credential
        self._common: dict[str, Any] = {
            "fully_qualified_namespace": parts.host,
            "eventhub_name": parts.hub,
            "credential": credential,
            "transport_type": TransportType.AmqpOverWebsocket
            if address.transport == "websocket"
            else TransportType.Amqp,
            "ssl_context": _tls_of(address.ca_file),  # one for all: else every attempt reads the file again
            "use_tls": parts.tls,
            "idle_timeout": IDLE_SECONDS,
            "user_agent": "latigo",
        }
        if address.custom_endpoint:
            self._common["custom_endpoint_address"] = f"sb://{address.custom_endpoint.removeprefix('sb://')}"

    def producer(self, keep_alive: timedelta = timedelta(seconds=30)) -> EventHubProducerClient:
        """A client that sends, or asks about partitions.

        Args:
            keep_alive: between two signs of life, without which gateways drop idle connections in silence; 0 for none.
        """
        return EventHubProducerClient(**self._common, keep_alive=keep_alive.total_seconds(), retry_total=1)

    def consumer(self, group: str, store: PostgresCheckpointStore, balancing: Balancing) -> EventHubConsumerClient:
        """A client that shares partitions with all others of its group."""
        return EventHubConsumerClient(
            **self._common,
            consumer_group=group,
            checkpoint_store=store,
            load_balancing_interval=balancing.every.total_seconds(),
            partition_ownership_expiration_interval=balancing.lease.total_seconds(),
            load_balancing_strategy="greedy",
        )

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """A call of the hub: nothing of the client library leaves this block.

        Raises:
            TimedOut: a time limit has passed.
            Unavailable: anything else; with an alarm where waiting alone does not help.
        """
        try:
            yield
        except LatigoError:
            raise
        except Exception as error:  # errors of its inner AMQP library get out, AttributeError among them
            away = self.translated(error, doing)
            self.trouble = str(away)
            raise away from error
        self.trouble = ""

    def translated(self, error: Exception, doing: str) -> Unavailable:
        """What the client library raised or told, in our words, and why a login failed, which it does not tell."""
        if isinstance(error, Unavailable):
            return error
        return translated(error, doing, getattr(self._credential, "failure", None))

    async def partition_ids(self, client: AnyClient, within: timedelta) -> Sequence[str]:
        """The names of all partitions, in order.

        Raises:
            Unavailable: the hub is away.
        """
        with self.errors("reading its partitions"):
            return sorted(await limited(client.get_partition_ids(), within), key=lambda each: (len(each), each))

    async def partition(self, client: AnyClient, partition: str, within: timedelta) -> Partition:
        """Where a partition begins and ends.

        Raises:
            Unavailable: the hub is away.
        """
        with self.errors(f"reading partition {partition}"):
            found = await limited(client.get_partition_properties(partition), within)
            return Partition(
                partition,
                found["beginning_sequence_number"],
                found["last_enqueued_sequence_number"],
                found["is_empty"],
            )

    async def close(self, client: AnyClient, within: timedelta = CLOSE_LIMIT) -> None:
        """Close a client, or leave it to itself when that takes too long."""
        try:
            await limited(client.close(), within)
        except Exception as error:  # noqa: BLE001 - as above; says nothing about the hub
            _log.info("queue.not_closed", because=str(self.translated(error, "closing")))


def _tls_of(ca_file: str) -> ssl.SSLContext:
    try:
        return tls_context(Path(ca_file) if ca_file else None)
    except ValueError as error:
        raise ConfigurationError(f"task_queue.ca_file: {error}") from error


@asynccontextmanager
async def open_hub(address: HubAddress, clock: Clock) -> AsyncIterator[Hub]:
    """Clients for an event hub; opens no connection by itself.

    Raises:
        ConfigurationError: the identity cannot be used here.
    """
    parts = _Parts.of(address)
    if parts.signature:
        yield Hub(address, AzureSasCredential(parts.signature), clock)
    elif parts.key:
        yield Hub(address, AzureNamedKeyCredential(parts.key_name, parts.key), clock)
    else:
        credential = SingleFlight(_credential(address.identity or Identity()), clock)
        try:
            yield Hub(address, credential, clock)
        finally:
            await credential.close()


def translated(error: BaseException, doing: str, login_failure: BaseException | None = None) -> Unavailable:
    """What the client library raised, in our words.

    Args:
        error: of the library, or a time limit of ours.
        doing: what was being done.
        login_failure: what the credential ended with last, if it did not end well.
    """
    cause = login_failure or error
    condition = getattr(error, "error", None) if isinstance(error, EventHubError) else None
    says = " ".join(str(cause).split())[:_LONGEST_MESSAGE]
    message = mask_text(f"event hub, {doing}: {type(cause).__name__}" + (f": {says}" if says else ""))
    if isinstance(cause, AuthenticationError | ClientAuthenticationError) or condition in _NEEDS_OPERATOR:
        return Unavailable(message, downstream=DOWNSTREAM, alarm=True)
    if isinstance(error, TimeoutError | OperationTimeoutError):
        return TimedOut(message, downstream=DOWNSTREAM)
    return Unavailable(message, downstream=DOWNSTREAM)


def _credential(given: Identity) -> Any:
    try:
        match given.kind:
            case "default":
                return identity.DefaultAzureCredential()
            case "managed_identity":
                return identity.ManagedIdentityCredential(client_id=given.client_id or None)
            case "workload_identity":
                options = {"tenant_id": given.tenant_id, "client_id": given.client_id}
                return identity.WorkloadIdentityCredential(**{key: value for key, value in options.items() if value})
            case "client_secret":
                return identity.ClientSecretCredential(given.tenant_id, given.client_id, given.client_secret)
            case "client_certificate":
                return identity.CertificateCredential(given.tenant_id, given.client_id, given.certificate_path)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"task_queue: {given.kind} cannot be used: {mask_text(str(error))[:200]}") from error
