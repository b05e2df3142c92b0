"""Where the hub is, and what must not be seen of it."""

import pytest
from pydantic import SecretStr

from latigo.domain.errors import ConfigurationError
from latigo.runtime.azure import Identity
from latigo.runtime.clock import SystemClock
from latigo.settings import EventHubQueue, load_settings
from latigo.task_queue.eventhub.connection import open_hub

KEY = "c2VjcmV0LWtleQ=="
NAMESPACE = "plant.servicebus.windows.net"
WITH_KEY = f"Endpoint=sb://{NAMESPACE}/;SharedAccessKeyName=latigo;SharedAccessKey={KEY}"
SIGNATURE = "SharedAccessSignature sr=sb%3a%2f%2fplant&sig=c2lnbmF0dXJl&se=1893456000&skn=latigo"


def a_queue(**given: str) -> EventHubQueue:
    variables = {f"LATIGO_TASK_QUEUE__{key.upper()}": value for key, value in {"kind": "eventhub", **given}.items()}
    section = load_settings(None, variables).task_queue
    assert isinstance(section, EventHubQueue)
    return section


@pytest.mark.parametrize(
    "given",
    [
        {"connection_string": f"{WITH_KEY};EntityPath=tasks"},
        {"connection_string": WITH_KEY, "hub": "tasks"},
        {"connection_string": f"{WITH_KEY};EntityPath=tasks", "hub": "tasks"},
        {"connection_string": f" endpoint=sb://{NAMESPACE}/ ; ENTITYPATH=tasks;SharedAccessSignature={SIGNATURE}"},
        {"namespace": NAMESPACE, "hub": "tasks"},
        {"namespace": NAMESPACE, "hub": "tasks", "credential": "managed_identity", "client_id": "1"},
    ],
    ids=["entity path", "hub", "both", "signature, other case", "default identity", "managed identity"],
)
def test_the_same_hub_has_the_same_channel_however_we_log_in(given: dict[str, str]):
    assert a_queue(**given).address.channel == f"eventhub/{NAMESPACE}/tasks"


def test_an_emulator_keeps_its_port():
    string = f"Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=n;SharedAccessKey={KEY};UseDevelopmentEmulator=true"

    address = a_queue(connection_string=string, hub="tasks").address

    assert (address.channel, address.tls) == ("eventhub/127.0.0.1:5672/tasks", False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "either connection_string, or namespace and hub"),
        ({"connection_string": WITH_KEY, "namespace": NAMESPACE, "hub": "a"}, "either connection_string"),
        ({"connection_string": WITH_KEY}, "hub is missing"),
        ({"namespace": NAMESPACE}, "hub is missing"),
        ({"namespace": f"sb://{NAMESPACE}/", "hub": "a"}, "host name"),
        ({"connection_string": f"{WITH_KEY};EntityPath=a", "hub": "b"}, "not the EntityPath"),
        ({"connection_string": f"SharedAccessKeyName=n;SharedAccessKey={KEY}", "hub": "a"}, "Endpoint"),
        ({"connection_string": f"Endpoint=sb://{NAMESPACE}/;SharedAccessKey={KEY}", "hub": "a"}, "SharedAccessKeyName"),
        ({"connection_string": f"{WITH_KEY};SharedAccessSignature={SIGNATURE}", "hub": "a"}, "SharedAccessKeyName"),
        ({"connection_string": f"Endpoint=sb://{NAMESPACE}/;SharedAccessSignature={KEY}", "hub": "a"}, "expiry"),
        ({"connection_string": KEY, "hub": "a"}, "Endpoint"),
        (
            {"credential": "client_secret", "tenant_id": "t", "client_secret": KEY},
            'credential = "client_secret" needs .*client_id',
        ),
        (
            {"credential": "client_certificate", "tenant_id": "t", "client_id": "c"},
            'credential = "client_certificate" needs .*certificate_file',
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_without_revealing_secrets(given: dict[str, str], says: str):
    if "credential" in given:
        given = {"namespace": NAMESPACE, "hub": "a", **given}

    with pytest.raises(ConfigurationError, match=f"task_queue: .*{says}") as refused:
        a_queue(**given)

    assert KEY not in str(refused.value)


def test_the_name_of_a_namespace_alone_is_refused_with_the_name_it_may_stand_for():
    with pytest.raises(ConfigurationError, match=r"task_queue: .*fully qualified, such as plant\.servicebus\.windows"):
        a_queue(namespace="plant", hub="a")


@pytest.mark.parametrize("namespace", ["localhost", "emulator:5671", "[::1]:5671", "10.0.0.4"])
def test_a_namespace_may_be_any_host(namespace: str):
    assert a_queue(namespace=namespace, hub="a").address.host == namespace


def test_secrets_are_not_in_what_is_printed():
    by_key = a_queue(connection_string=f"{WITH_KEY};EntityPath=tasks")
    by_secret = a_queue(
        namespace=NAMESPACE,
        hub="a",
        credential="client_secret",
        tenant_id="t",
        client_id="c",
        client_secret="s3cret-value",
    )

    identity = by_secret.identity

    assert KEY not in f"{by_key!r} {by_key.address!r}"
    assert "s3cret-value" not in f"{by_secret!r} {identity!r}"
    assert identity == Identity("client_secret", "t", "c", "s3cret-value")


@pytest.mark.parametrize("kind", ["default", "managed_identity"])
async def test_a_hub_opens_without_network(kind: str):
    section = a_queue(namespace=NAMESPACE, hub="tasks", credential=kind)

    async with open_hub(section, SystemClock()) as hub:
        assert hub.channel == section.address.channel


async def test_an_identity_that_is_not_to_be_had_here_refuses_to_start():
    section = EventHubQueue(
        namespace=NAMESPACE,
        hub="tasks",
        credential="client_certificate",
        tenant_id="t",
        client_id="c",
        certificate_file="/not/there.pem",  # type: ignore[arg-type]  # as the file has it
    )

    with pytest.raises(ConfigurationError, match="task_queue: client_certificate cannot be used"):
        async with open_hub(section, SystemClock()):
            pytest.fail("it opened")


async def test_authorities_that_cannot_be_read_are_named_by_their_key():
    section = EventHubQueue(
        connection_string=SecretStr(WITH_KEY),
        hub="tasks",
        ca_file="/not/there.pem",  # type: ignore[arg-type]  # as the file has it
    )

    with pytest.raises(ConfigurationError, match=r"task_queue\.ca_file: /not/there.pem cannot be read"):
        async with open_hub(section, SystemClock()):
            pytest.fail("it opened")
