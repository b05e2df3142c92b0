"""Clients of an event hub, with the options that proved to work.

The client library hangs or loops in silence when things go wrong (refused connections, rejected tokens, peers that
never answer), so every call has a time limit of our own, and every error becomes `Unavailable`.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.eventhub import TransportType
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError, OperationTimeoutError

from latigo.domain.errors import ConfigurationError, LatigoError, TimedOut, Unavailable
from latigo.runtime.azure import SharedCredential, is_refused, open_credential
from latigo.runtime.clock import Clock
from latigo.runtime.http import tls_context
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import excerpt
from latigo.settings import EventHubQueue
from latigo.task_queue.eventhub.checkpoints import PostgresCheckpointStore
from latigo.task_queue.eventhub.partitions import Partition
from latigo.task_queue.limits import limited

_log = get_logger(__name__)

DOWNSTREAM = "task_queue/eventhub"
IDLE_SECONDS = 120  # without it a connection whose packets are dropped silently is never closed
CLOSE_LIMIT = timedelta(seconds=10)
#: Conditions that waiting does not change.
_NEEDS_OPERATOR = frozenset({"unauthorized-access", "not-found", "auth-failed"})
_MAX_MESSAGE = 400

AnyClient = EventHubConsumerClient | EventHubProducerClient


Credential = AzureNamedKeyCredential | AzureSasCredential | SharedCredential


class Hub:
    """Creates clients of one event hub. Opened by `open_hub`.

    ``trouble`` is the error of the last call, of whichever client; empty when the hub answered.

    Args:
        eventhub: settings of the queue.
        credential: how to log in there.
        clock: the clock of this machine.
        tls: False only for an emulator that is reached by namespace and identity.
    """

    def __init__(self, eventhub: EventHubQueue, credential: Credential, clock: Clock, *, tls: bool = True) -> None:
        address = eventhub.address
        self.channel = address.channel
        self.clock = clock
        self.balance = eventhub.balance
        self.trouble = "event hub: has not answered yet"
        self._eventhub = eventhub
        self._credential = credential
        self._common: dict[str, Any] = {
            "fully_qualified_namespace": address.host,
            "eventhub_name": address.hub,
            "credential": credential,
            "transport_type": TransportType.AmqpOverWebsocket
            if eventhub.transport == "websocket"
            else TransportType.Amqp,
            "ssl_context": _tls_of(eventhub.ca_file),  # one for all: else every attempt reads the file again
            "use_tls": tls and address.tls,
            "idle_timeout": IDLE_SECONDS,
            "user_agent": "latigo",
        }
        if eventhub.custom_endpoint:
            self._common["custom_endpoint_address"] = f"sb://{eventhub.custom_endpoint.removeprefix('sb://')}"

    def producer(self, keep_alive: timedelta = timedelta(seconds=30)) -> EventHubProducerClient:
        """Create a client that sends, or reads the state of partitions.

        Args:
            keep_alive: between two keep-alives, without which gateways drop idle connections silently; 0 for none.
        """
        return EventHubProducerClient(**self._common, keep_alive=keep_alive.total_seconds(), retry_total=1)

    def consumer(self, store: PostgresCheckpointStore) -> EventHubConsumerClient:
        """Create a client that shares partitions with all others of its group."""
        return EventHubConsumerClient(
            **self._common,
            consumer_group=self._eventhub.consumer_group,
            checkpoint_store=store,
            load_balancing_interval=self._eventhub.balance.total_seconds(),
            partition_ownership_expiration_interval=self._eventhub.expiration.total_seconds(),
            load_balancing_strategy="greedy",
        )

    @contextmanager
    def errors(self, action: str) -> Iterator[None]:
        """Translate errors of the client library that are raised in the block.

        Raises:
            TimedOut: a time limit has passed.
            Unavailable: anything else; with an alarm where an operator has to act.
        """
        try:
            yield
        except LatigoError:
            raise
        except Exception as error:  # errors of its inner AMQP library get out, AttributeError among them
            failure = self.translated(error, action)
            self.trouble = str(failure)
            raise failure from error
        self.trouble = ""

    def translated(self, error: Exception, action: str) -> Unavailable:
        """Translate an error of the client library; the cause of a failed login, which it hides, is added."""
        if isinstance(error, Unavailable):
            return error
        return translated(error, action, getattr(self._credential, "failure", None))

    async def partition_ids(self, client: AnyClient, limit: timedelta) -> Sequence[str]:
        """Return the names of all partitions, in order.

        Raises:
            Unavailable: the hub cannot be reached.
        """
        with self.errors("reading its partitions"):
            return sorted(await limited(client.get_partition_ids(), limit), key=lambda name: (len(name), name))

    async def partition(self, client: AnyClient, partition: str, limit: timedelta) -> Partition:
        """Return the bounds of a partition.

        Raises:
            Unavailable: the hub cannot be reached.
        """
        with self.errors(f"reading partition {partition}"):
            properties = await limited(client.get_partition_properties(partition), limit)
            return Partition(
                partition,
                properties["beginning_sequence_number"],
                properties["last_enqueued_sequence_number"],
                properties["is_empty"],
            )

    async def close(self, client: AnyClient, limit: timedelta = CLOSE_LIMIT) -> None:
        """Close a client, or abandon it when that takes too long."""
        try:
            await limited(client.close(), limit)
        except Exception as error:  # noqa: BLE001 - as above; not a failure of the hub
            _log.info("queue.close_failed", error=str(self.translated(error, "closing")))


class _Key(AzureNamedKeyCredential):
    """The key of the connection string as that is now; the client asks when it logs in, and again every hour or so."""

    def __init__(self, eventhub: EventHubQueue) -> None:
        self._eventhub = eventhub
        super().__init__(eventhub.address.key_name, eventhub.address.key)

    @property
    def named_key(self) -> Any:
        with suppress(ValueError):  # no connection string any more, or no key in it: the old one stays
            self.update(self._eventhub.address.key_name, self._eventhub.address.key)
        return super().named_key


class _Signature(AzureSasCredential):
    """The signature of the connection string as that is now."""

    def __init__(self, eventhub: EventHubQueue) -> None:
        self._eventhub = eventhub
        super().__init__(eventhub.address.signature)

    @property
    def signature(self) -> str:
        with suppress(ValueError):  # as above
            self.update(self._eventhub.address.signature)
        return str(super().signature)


def _tls_of(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return tls_context(ca_file)
    except ValueError as error:
        raise ConfigurationError(f"task_queue.ca_file: {error}") from error


@asynccontextmanager
async def open_hub(eventhub: EventHubQueue, clock: Clock) -> AsyncIterator[Hub]:
    """Prepare clients for an event hub; no connection is opened yet.

    Raises:
        ConfigurationError: the identity cannot be used here.
    """
    address = eventhub.address
    if address.signature:
        yield Hub(eventhub, _Signature(eventhub), clock)
    elif address.key:
        yield Hub(eventhub, _Key(eventhub), clock)
    else:
        async with AsyncExitStack() as opened:
            try:
                credential = await opened.enter_async_context(open_credential(lambda: eventhub.identity, clock))
            except ValueError as error:
                raise ConfigurationError(f"task_queue: {error}") from error
            yield Hub(eventhub, credential, clock)


def translated(error: BaseException, action: str, login_failure: BaseException | None = None) -> Unavailable:
    """Translate an error of the client library.

    Args:
        error: of the library, or a time limit of ours.
        action: what was attempted.
        login_failure: the last error of the credential, if its last attempt failed.
    """
    cause = login_failure or error
    condition = getattr(error, "error", None) if isinstance(error, EventHubError) else None
    text = excerpt(_without_repetition(" ".join(str(cause).split())), _MAX_MESSAGE)
    message = f"event hub, {action}: {type(cause).__name__}" + (f": {text}" if text else "")
    if isinstance(cause, AuthenticationError) or is_refused(cause) or condition in _NEEDS_OPERATOR:
        return Unavailable(message, downstream=DOWNSTREAM, alarm=True)
    if isinstance(error, TimeoutError | OperationTimeoutError):
        return TimedOut(message, downstream=DOWNSTREAM)
    return Unavailable(message, downstream=DOWNSTREAM)


def _without_repetition(text: str) -> str:
    """Return the message of an AMQP error, which has its description twice, with it once."""
    message, _, rest = text.partition(" Error condition: ")
    condition, _, description = rest.partition(" Error Description: ")
    return f"{message} ({condition.removeprefix('ErrorCondition.')})" if rest and description == message else text
