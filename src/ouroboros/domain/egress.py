"""What a backend may reach: addresses and networks that its application asks for and the operator
allows.

Networks and no host names or ports, because that is what the kernel's filter of a unit decides by
(systemd.resource-control(5), IPAddressAllow=): a name may lead elsewhere tomorrow, and a rule that
is not enforced is worse than none. This host and what is near it can neither be asked for nor
allowed.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

ANY = "any"
NONE = "none"
NEAR = (
    "127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/64", "224.0.0.0/4", "ff00::/8",
    "255.255.255.255/32",
)  # fmt: skip
"""This host, link-local (the cloud's metadata service) and multicast addresses."""
_Network = IPv4Network | IPv6Network


def problem_with(text: str) -> str | None:
    """Why this is no network that a backend may be given; None when it is one, or `any`."""
    if text == ANY:
        return None
    try:
        network = ip_network(text)
    except ValueError:
        return f"{text[:60]!r} is no address or network: 192.0.2.7 or 10.1.0.0/16, no name or port"
    near = next((each for each in NEAR if _overlap(network, ip_network(each))), None)
    return None if near is None else f"{text} holds {near}, which is this host or near it"


def refused(asked: Sequence[str], allowed: str) -> list[str]:
    """Those of the asked networks that no allowed one contains.

    `allowed` is the operator's word: `any`, `none`, or networks with commas.
    """
    if allowed == ANY:
        return []
    given = [] if allowed == NONE else [ip_network(item) for item in allowed.split(",")]
    return [
        each
        for each in asked
        if each == ANY or not any(_holds(net, ip_network(each)) for net in given)
    ]


def _overlap(one: _Network, other: _Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _holds(outer: _Network, inner: _Network) -> bool:
    if isinstance(outer, IPv4Network) and isinstance(inner, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network):
        return inner.subnet_of(outer)
    return False
