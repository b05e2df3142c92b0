"""The nodes that links lead to: ``$cbs`` for tokens, ``$management`` for requests, and the partitions of hubs."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from latigo.sandbox.eventhub.access import TokenRefused
from latigo.sandbox.eventhub.addresses import place_of
from latigo.sandbox.eventhub.frames import Accepted, Attach, Error, Symbols
from latigo.sandbox.eventhub.hub import PARTITION_KEY, START, Hub, Position, Refused
from latigo.sandbox.eventhub.links import IncomingLink, Link, Outcome, OutgoingLink, Session, Settle, error_of
from latigo.sandbox.eventhub.messages import (
    BATCH_FORMAT,
    Request,
    Section,
    read_batch,
    read_message,
    read_request,
    section,
    write_reply,
)
from latigo.sandbox.eventhub.namespace import Namespace
from latigo.sandbox.eventhub.values import Array, Described, Int, Symbol

CBS, MANAGEMENT = "$cbs", "$management"
_STOLEN = Symbol("amqp:link:stolen")
_EPOCH = "com.microsoft:epoch"
_RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"
_SELECTOR_FILTER = "apache.org:selector-filter:string"


class Client(Protocol):
    """The client at the other end of a link, as far as nodes need it."""

    namespace: Namespace

    def allows(self, address: str) -> bool:
        """Return whether a token was put for an address."""

    def put_token(self, kind: object, token: object, audience: str) -> None:
        """Accept a token.

        Raises:
            TokenRefused: it gives no access.
        """


def open_link(client: Client, session: Session, attach: Attach) -> Link:
    """Open the link of an attach.

    Raises:
        Refused: there is no such thing, it may not be used, or others use it.
    """
    terminus = attach.source if attach.role else attach.target
    address = terminus.address if terminus is not None and terminus.address else ""
    if address in {CBS, MANAGEMENT}:
        return RepliesOut(session, attach, address) if attach.role else RequestsIn(client, session, attach, address)
    if not client.allows(address):
        raise Refused("amqp:unauthorized-access", f"Unauthorized access. No token that is valid was put for {address}")
    namespace = client.namespace
    namespace.behaviour.check_link(place_of(address))
    return (EventsOut if attach.role else EventsIn)(namespace, session, attach, address)


def _detach_when_deleted(link: Link, hub: Hub) -> None:
    def detach(reason: Refused) -> None:
        link.detach(error_of(reason))

    hub.users[detach] = None
    link.at_end(lambda: hub.users.pop(detach, None))


class EventsIn(IncomingLink):
    """Events from a client, for a hub or one of its partitions."""

    def __init__(self, namespace: Namespace, session: Session, attach: Attach, address: str) -> None:
        super().__init__(session, attach, address)
        self.place = place_of(address)
        self._namespace = namespace
        self._hub = namespace.hub(self.place.hub)
        if self.place.partition is not None:
            self._hub[self.place.partition]  # refuses one that is not there
        _detach_when_deleted(self, self._hub)
        namespace.behaviour.count("senders")

    def take(self, message_format: int, message: bytes, settle: Settle) -> Outcome | None:
        behaviour = self._namespace.behaviour
        behaviour.check_send(self.place)
        if message_format == BATCH_FORMAT:
            annotations, messages = read_batch(message)
        else:
            annotations, messages = read_message(message).annotations, [message]
        key = annotations.get(PARTITION_KEY)
        routed_by = key if isinstance(key, str) else None  # any other is ignored by the service
        self._hub.publish(messages, self._namespace.now(), partition=self.place.partition, key=routed_by)
        behaviour.count("sends")
        behaviour.count("events_in", len(messages))
        return Accepted() if behaviour.acknowledges(self.place, settle) else None


class EventsOut(OutgoingLink):
    """Events of a partition for a client, from a position on."""

    def __init__(self, namespace: Namespace, session: Session, attach: Attach, address: str) -> None:
        super().__init__(session, attach, address)
        self.place = place_of(address)
        if self.place.partition is None or self.place.group is None:
            raise Refused("amqp:not-allowed", f"{address!r} is not a partition in a consumer group")
        self._namespace = namespace
        hub = self._namespace.hub(self.place.hub)
        self._partition = hub[self.place.partition]
        behaviour = namespace.behaviour
        first = self._partition.index(_position(attach), strict=behaviour.strict_offsets)
        self._next = self._partition.begin.sequence_number + first
        self._metric = _RUNTIME_METRIC in _symbols(attach.desired_capabilities)
        self._admit(hub, attach)
        self._partition.readers[self.pump] = None
        self.at_end(lambda: self._partition.readers.pop(self.pump, None))
        _detach_when_deleted(self, hub)
        behaviour.count("receivers")

    def _admit(self, hub: Hub, attach: Attach) -> None:
        requested = (attach.properties or {}).get(_EPOCH)
        epoch = int(requested) if isinstance(requested, int) else None
        receivers = hub.receivers(self.place.group or "", self._partition.id)
        for receiver in receivers.admit(self, epoch):
            self._namespace.behaviour.count("links_stolen")
            receiver.detach(Error(_STOLEN, f"A receiver with the epoch '{epoch}' reads here now"))
        self.at_end(lambda: receivers.leave(self))

    def next_message(self) -> bytes | None:
        event = self._partition.event(self._next)
        if event is None:
            return None
        self._next = event.sequence_number + 1
        self._namespace.behaviour.count("events_out")
        return event.header + self._metrics() + event.message

    def _metrics(self) -> bytes:
        """Return the properties of the newest event, for a client that wants them with each event."""
        if not self._metric:
            return b""
        partition = self._partition
        annotations = {
            Symbol("last_enqueued_sequence_number"): partition.last_sequence_number,
            Symbol("last_enqueued_offset"): partition.last_offset,
            Symbol("last_enqueued_time_utc"): partition.last_enqueued,
            Symbol("runtime_info_retrieval_time_utc"): self._namespace.now(),
        }
        return section(Section.DELIVERY_ANNOTATIONS, annotations)


def _symbols(several: Symbols) -> tuple[str, ...]:
    return several if isinstance(several, Array) else (several,) if several else ()


def _position(attach: Attach) -> Position:
    """Return where a receiver begins; at the start unless the filter names a position.

    Raises:
        Refused: the filter is not supported.
    """
    selector = ((attach.source.filter if attach.source else None) or {}).get(_SELECTOR_FILTER)
    if selector is None:
        return START
    text = selector.value if isinstance(selector, Described) else selector
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return Position.parse(str(text))


class Reply(NamedTuple):
    """The reply to a request; ``status`` as in HTTP."""

    status: int
    description: str
    body: Any = None


class RequestsIn(IncomingLink):
    """Requests from a client, each with a reply on its link for replies from the same node."""

    def __init__(self, client: Client, session: Session, attach: Attach, address: str) -> None:
        super().__init__(session, attach, address)
        self._client = client

    def take(self, message_format: int, message: bytes, settle: Settle) -> Outcome | None:  # noqa: ARG002  # one is taken as it is, at once
        request = read_request(message)
        respond = reply_to_cbs if self.address == CBS else reply_to_management
        reply = respond(self._client, request)
        properties = {"status-code": Int(reply.status), "status-description": reply.description}
        raw = write_reply(request.message_id, properties, reply.body)
        for link in self.session.links.values():
            if isinstance(link, RepliesOut) and link.address == self.address:
                link.put(raw)
        return Accepted()


class RepliesOut(OutgoingLink):
    """Replies to a client."""

    def __init__(self, session: Session, attach: Attach, address: str) -> None:
        super().__init__(session, attach, address)
        self._replies: deque[bytes] = deque()

    def put(self, reply: bytes) -> None:
        """Send a reply as soon as there is credit."""
        self._replies.append(reply)
        self.pump()

    def next_message(self) -> bytes | None:
        return self._replies.popleft() if self._replies else None


def reply_to_cbs(client: Client, request: Request) -> Reply:
    """Accept a token."""
    requested, behaviour = request.properties, client.namespace.behaviour
    if requested.get("operation") != "put-token":
        return Reply(400, f"No such operation: {requested.get('operation')}")
    audience = str(requested.get("name"))
    try:
        client.put_token(requested.get("type"), request.body, audience)
    except TokenRefused as refused:
        behaviour.count("tokens_refused")
        return Reply(401, str(refused))
    behaviour.count("tokens")
    return Reply(202, "Accepted")


def reply_to_management(client: Client, request: Request) -> Reply:
    """Return the properties of a hub, or of one of its partitions."""
    client.namespace.behaviour.count("questions")
    requested = request.properties
    kind, name = requested.get("type"), str(requested.get("name"))
    if requested.get("operation") != "READ":
        return Reply(400, f"No such operation: {requested.get('operation')}")
    if not client.allows(f"/{name}"):
        return Reply(401, f"Unauthorized access. No token that is valid was put for {name}")
    try:
        hub = client.namespace.hub(name)
        if kind == "com.microsoft:eventhub":
            return Reply(200, "OK", _describe_hub(hub, name))
        if kind == "com.microsoft:partition":
            return Reply(200, "OK", _describe_partition(hub, name, str(requested.get("partition"))))
    except Refused as refused:
        return Reply(404, str(refused))
    return Reply(400, f"No such type: {kind}")


def _describe_hub(hub: Hub, name: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "type": "com.microsoft:eventhub",
        "created_at": hub.created,
        "partition_count": Int(len(hub.partitions)),
        "partition_ids": [partition.id for partition in hub.partitions],
    }


def _describe_partition(hub: Hub, name: str, partition_id: str) -> Mapping[str, Any]:
    partition = hub[partition_id]
    return {
        "name": name,
        "type": "com.microsoft:partition",
        "partition": partition.id,
        "begin_sequence_number": partition.begin.sequence_number,
        "last_enqueued_sequence_number": partition.last_sequence_number,
        "last_enqueued_offset": partition.last_offset,
        "last_enqueued_time_utc": partition.last_enqueued,
        "is_partition_empty": not partition.events,
    }
