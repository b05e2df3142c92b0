"""Names under which the HTTP server may be addressed; pure.

A page of any site can let its own name resolve to 127.0.0.1, and then read what is served there as if it were its own
(DNS rebinding). Its requests still carry its name.
"""

import re
from collections.abc import Collection
from ipaddress import ip_address

EVERY_HOST = "*"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#@\[\]\\,]+))(?::[0-9]{0,5})?")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


def normal_host(name: str) -> str:
    """Return a host name or address as it is compared: in lower case, without brackets and final dot."""
    host = name.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def allowed_hosts(bound_to: str, names: Collection[str] | None) -> frozenset[str] | None:
    """Return the hosts that are answered, None for every one.

    Args:
        bound_to: address that the server listens on.
        names: of the settings; None: not set, which means loopback names where the server listens on loopback.
    """
    if names is None:
        host = normal_host(bound_to)
        return LOOPBACK | {host} if _is_loopback(host) else None
    return None if EVERY_HOST in names else frozenset(map(normal_host, names))


def host_of(header: str) -> str:
    """Return the host in a ``Host`` header, without its port; empty where the header is not valid."""
    match = _HOST.fullmatch(header.strip())
    return normal_host(match[1] or match[2]) if match else ""


def named_hosts(headers: Collection[str], target: str) -> set[str]:
    """Return every host that a request names: in ``Host`` headers, and in an absolute target.

    Args:
        headers: values of all ``Host`` headers.
        target: as in the first line of the request.
    """
    hosts = {host_of(header) for header in headers} or {""}
    if authority := _AUTHORITY.match(target):
        hosts.add(host_of(authority[1]))
    return hosts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
