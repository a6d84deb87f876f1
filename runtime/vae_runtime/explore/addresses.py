"""Which names and addresses are this machine's, and which of them other machines can open."""

from __future__ import annotations

import functools
import ipaddress
import socket

# Addresses for documentation (RFC 5737, RFC 3849): routed like the internet's, and nobody's.
FAR_ADDRESSES = (
    (socket.AF_INET, "192.0.2.1"),
    (socket.AF_INET6, "2001:db8::1"),
)
# Any port will do, for nothing is sent.
FAR_PORT = 9


def is_address(host: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address reaches only this machine."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_everywhere(host: str) -> bool:
    """Whether a server bound to `host` listens on every address of this machine."""
    return host == "" or (is_address(host) and ipaddress.ip_address(host).is_unspecified)


@functools.cache
def own_names() -> frozenset[str]:
    """The names that this machine goes by in its network, in lower case.

    Its host name, that with `.local`, under which multicast DNS announces it, and the one with its
    domain. The domain may take seconds to find out, so ask late.
    """
    name = socket.gethostname()
    first = name.partition(".")[0]
    names = (name, f"{first}.local", socket.getfqdn())
    return frozenset(normalized(name) for name in names)


def normalized(name: str) -> str:
    """A host name as names are compared: in lower case, without the root's dot."""
    return name.lower().removesuffix(".")


def reachable_host(far_addresses: tuple[tuple[int, str], ...] = FAR_ADDRESSES) -> str:
    """The address of this machine in its network; without one, its name for multicast DNS.

    Connecting a datagram socket sends nothing: it makes the system choose the interface by which
    it would reach a far address, and the interface has the address that others know.
    """
    for family, address in far_addresses:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as far:
                far.connect((address, FAR_PORT))
                own_address: str = far.getsockname()[0]
        except OSError:
            continue
        if not is_loopback(own_address):
            return own_address
    first = socket.gethostname().partition(".")[0]
    return f"{first}.local"
