"""Where the hub is, and what must not be seen of it."""

from typing import Any

import pytest

from latigo.domain.errors import ConfigurationError
from latigo.runtime.clock import SystemClock
from latigo.task_queue.eventhub.connection import HubAddress, Identity, open_hub

KEY = "c2VjcmV0LWtleQ=="
NAMESPACE = "plant.servicebus.windows.net"
WITH_KEY = f"Endpoint=sb://{NAMESPACE}/;SharedAccessKeyName=latigo;SharedAccessKey={KEY}"
SIGNATURE = "SharedAccessSignature sr=sb%3a%2f%2fplant&sig=c2lnbmF0dXJl&se=1893456000&skn=latigo"


@pytest.mark.parametrize(
    "address",
    [
        HubAddress(connection_string=f"{WITH_KEY};EntityPath=tasks"),
        HubAddress(connection_string=WITH_KEY, hub="tasks"),
        HubAddress(connection_string=f"{WITH_KEY};EntityPath=tasks", hub="tasks"),
        HubAddress(
            connection_string=f" endpoint=sb://{NAMESPACE}/ ; ENTITYPATH=tasks;SharedAccessSignature={SIGNATURE}"
        ),
        HubAddress(namespace=NAMESPACE, hub="tasks"),
        HubAddress(namespace=NAMESPACE, hub="tasks", identity=Identity("managed_identity", client_id="1")),
    ],
    ids=["entity path", "hub", "both", "signature, other case", "default identity", "managed identity"],
)
def test_the_same_hub_has_the_same_channel_however_we_log_in(address: HubAddress):
    assert address.channel == f"eventhub/{NAMESPACE}/tasks"


def test_an_emulator_keeps_its_port():
    string = f"Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=n;SharedAccessKey={KEY};UseDevelopmentEmulator=true"

    assert HubAddress(connection_string=string, hub="tasks").channel == "eventhub/127.0.0.1:5672/tasks"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "either connection_string, or namespace and hub"),
        ({"connection_string": WITH_KEY, "namespace": NAMESPACE, "hub": "a"}, "either connection_string"),
        ({"connection_string": WITH_KEY, "hub": "a", "identity": Identity()}, "exclude each other"),
        ({"connection_string": WITH_KEY}, "hub is missing"),
        ({"namespace": NAMESPACE}, "hub is missing"),
        ({"namespace": f"sb://{NAMESPACE}/", "hub": "a"}, "host name"),
        ({"connection_string": f"{WITH_KEY};EntityPath=a", "hub": "b"}, "not the EntityPath"),
        ({"connection_string": f"SharedAccessKeyName=n;SharedAccessKey={KEY}", "hub": "a"}, "Endpoint"),
        ({"connection_string": f"Endpoint=sb://{NAMESPACE}/;SharedAccessKey={KEY}", "hub": "a"}, "SharedAccessKeyName"),
        ({"connection_string": f"{WITH_KEY};SharedAccessSignature={SIGNATURE}", "hub": "a"}, "SharedAccessKeyName"),
        ({"connection_string": f"Endpoint=sb://{NAMESPACE}/;SharedAccessSignature={KEY}", "hub": "a"}, "expiry"),
        ({"connection_string": KEY, "hub": "a"}, "Endpoint"),
    ],
)
def test_what_does_not_fit_together_is_refused_without_telling_secrets(given: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says) as refused:
        HubAddress(**given)

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "client_secret", "tenant_id": "t", "client_secret": "s3cret"}, "client_secret needs client_id"),
        ({"kind": "client_certificate", "tenant_id": "t", "client_id": "c"}, "needs certificate_path"),
    ],
)
def test_an_identity_names_what_it_lacks(given: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says):
        Identity(**given)


def test_secrets_are_not_in_what_is_printed():
    by_key = HubAddress(connection_string=f"{WITH_KEY};EntityPath=tasks")
    by_secret = HubAddress(namespace=NAMESPACE, hub="a", identity=Identity("client_secret", "t", "c", "s3cret-value"))

    assert KEY not in repr(by_key)
    assert "s3cret-value" not in repr(by_secret)


@pytest.mark.parametrize(
    "identity",
    [
        Identity("default"),
        Identity("managed_identity"),
        Identity("managed_identity", client_id="11111111-2222-3333-4444-555555555555"),
        Identity("client_secret", "11111111-2222-3333-4444-555555555555", "client", "secret"),
    ],
    ids=lambda identity: identity.kind,
)
async def test_identities_open_without_asking_anybody(identity: Identity):
    address = HubAddress(namespace=NAMESPACE, hub="tasks", identity=identity)

    async with open_hub(address, SystemClock()) as hub:
        assert hub.channel == address.channel


@pytest.mark.parametrize(
    "identity",
    [Identity("workload_identity"), Identity("client_certificate", "t", "c", certificate_path="/not/there.pem")],
    ids=lambda identity: identity.kind,
)
async def test_an_identity_that_is_not_to_be_had_here_refuses_to_start(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
):
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigurationError, match=f"{identity.kind} cannot be used"):
        async with open_hub(HubAddress(namespace=NAMESPACE, hub="tasks", identity=identity), SystemClock()):
            pass
