"""Address of an event hub: a connection string, or a namespace and a name. Pure."""

from typing import NamedTuple
from urllib.parse import urlsplit


class HubAddress(NamedTuple):
    """Address of an event hub, and the key or signature of its connection string."""

    host: str
    hub: str
    key_name: str = ""
    key: str = ""
    signature: str = ""
    tls: bool = True

    def __repr__(self) -> str:
        """Return the address without key and signature."""
        return self.channel

    @property
    def channel(self) -> str:
        """Name of the hub in ledger and checkpoints."""
        return f"eventhub/{self.host}/{self.hub}"


def parse_connection_string(text: str, hub: str) -> HubAddress:
    """Read a connection string as the portal shows it; ``UseDevelopmentEmulator=true`` turns TLS off.

    Args:
        text: with or without ``EntityPath``.
        hub: the name of the hub, empty where ``EntityPath`` has it.

    Raises:
        ValueError: it cannot be used; the message holds no secret.
    """
    pairs = (part.partition("=") for part in text.strip().split(";") if part.strip())
    given = {name.strip().lower(): value.strip() for name, _, value in pairs}
    host = urlsplit(given.get("endpoint", "")).netloc
    key_name, key = given.get("sharedaccesskeyname", ""), given.get("sharedaccesskey", "")
    signature = given.get("sharedaccesssignature", "")
    if not host:
        raise ValueError("connection_string has no Endpoint=sb://...")
    if bool(key_name and key) == bool(signature) or bool(key_name) != bool(key):
        raise ValueError("connection_string needs SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature")
    if signature and "se=" not in signature:
        raise ValueError("connection_string has a SharedAccessSignature without expiry")
    if hub and given.get("entitypath", hub) != hub:
        raise ValueError("hub is not the EntityPath of connection_string")
    if not (name := hub or given.get("entitypath", "")):
        raise ValueError("hub is missing, and connection_string has no EntityPath")
    emulator = given.get("usedevelopmentemulator", "").lower() == "true"
    return HubAddress(host, name, key_name, key, signature, tls=not emulator)


def hub_in_namespace(namespace: str, hub: str) -> HubAddress:
    """Return the address of a hub that is reached by an identity.

    Raises:
        ValueError: the namespace is no host name, or only the first part of one.
    """
    if urlsplit(f"//{namespace}").netloc != namespace:
        raise ValueError("namespace must be a host name, such as name.servicebus.windows.net")
    if not any(mark in namespace for mark in ".:") and namespace != "localhost":
        raise ValueError(f"namespace must be fully qualified, such as {namespace}.servicebus.windows.net")
    return HubAddress(namespace, hub)
