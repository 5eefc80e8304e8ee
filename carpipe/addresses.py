"""Addresses of the internet as they are compared: IPv4 that is written as IPv6 is IPv4, and a zone does not count."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_of(text: str) -> Address | None:
    """The address that is written there; None where there is none.

    A 6to4 network (RFC 3056) belongs to one IPv4 address, and stands for it.
    """
    try:
        known = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(known, ipaddress.IPv4Address):
        return known
    return known.ipv4_mapped or known.sixtofour or known


def network_of(text: str) -> Network:
    """The network that is written there, or that of a single address, which may have a zone.

    Raises:
        ValueError: it is neither, or has a zone and a length. Which addresses that would mean nobody can say.
    """
    written = ipaddress.ip_network(text)
    if "%" in text:
        if "/" in text:
            raise ValueError("a network has no zone")
        written = ipaddress.ip_network(text.partition("%")[0])
    return written if isinstance(written, ipaddress.IPv4Network) else _as_ipv4(written) or written


def _as_ipv4(network: ipaddress.IPv6Network) -> ipaddress.IPv4Network | None:
    first, length = network.network_address, network.prefixlen
    if first.ipv4_mapped and length >= 96:
        return ipaddress.IPv4Network((first.ipv4_mapped, length - 96))
    if first.sixtofour and length >= 16:
        return ipaddress.IPv4Network((first.sixtofour, min(length - 16, 32)))
    return None
