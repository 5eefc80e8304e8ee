"""Who a client is: an IPv4 address, or an IPv6 network, of the connection or as a trusted proxy says.

All that a client gets a share of is counted by that.
"""

import ipaddress
from collections.abc import Container
from typing import Any

from carpipe.addresses import Address, address_of

# Names of this machine that everybody has. RFC 6761.
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
# Of IPv6, the network that one subscriber gets. RFC 6177.
SUBSCRIBER = 64


def client_of(address: str) -> str:
    """Whom an address stands for: itself, or of IPv6 its /64. What is no address stands for itself."""
    known = address_of(address)
    return address if known is None else _client(known)


def client_behind(forwarded: str) -> str | None:
    """Whom a trusted proxy names in X-Forwarded-For; None where that is no address.

    Only the last entry counts: it is the one that the proxy itself has added. Anybody may have written the others.
    """
    known = address_of(_bare(forwarded.rpartition(",")[2].strip(' \t"')))
    return None if known is None else _client(known)


def is_among(address: str, networks: Container[Any]) -> bool:
    """Whether the address is in one of the networks, however it is written."""
    known = address_of(address)
    return known is not None and known in networks


def is_local(host: str) -> bool:
    """Whether a name or an address is this machine's own, which nobody reaches from elsewhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in LOCAL_NAMES


def _client(known: Address) -> str:
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    return str(ipaddress.ip_network((known, SUBSCRIBER), strict=False))


def _bare(hop: str) -> str:
    """An entry without brackets and port, as RFC 7239 and some proxies write them."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
