"""Which addresses applications may be reached at."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORBIDDEN: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "169.254.0.0/16",  # link-local, where clouds serve their metadata
        "100.100.100.200/32",  # Alibaba Cloud's metadata
        "168.63.129.16/32",  # Azure's host
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata is at 192.0.0.192
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/128",
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, given up
        "fd00:ec2::/32",  # AWS's metadata
        "fd20:ce::254/128",  # Google Cloud's metadata
        "ff00::/8",  # multicast
    )
)
_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_EMBEDDED: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 96),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 96),  # translated
    (IPv6Network("::/96"), 96),  # IPv4-compatible
    (IPv6Network("64:ff9b::/96"), 96),  # NAT64
    (IPv6Network("64:ff9b:1::/48"), 96),  # NAT64 of one's own
    (IPv6Network("2002::/16"), 16),  # 6to4
)
"""IPv6 networks whose addresses hold an IPv4 address, and how many bits stand before it."""

_TEREDO = IPv6Network("2001::/32")


class Networks:
    """The networks that applications may be in.

    `allowed` holds the words `public`, `private` and `loopback`, and networks such as `10.1.0.0/16`. Addresses
    that are nobody's application (link-local, metadata, multicast, unspecified) are refused unless a network
    within such a range is named; an IPv6 address that holds an IPv4 address is allowed only where both are.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._words = frozenset(each for each in allowed if each in ("public", "private", "loopback"))
        self._networks = tuple(ip_network(each) for each in allowed if each not in self._words)

    def problem(self, address: str) -> str | None:
        """Why an address may not be reached, naming the setting; None when it may."""
        try:
            given = ip_address(address)
        except ValueError:
            return "is no address"
        for each in _meanings(given):
            kind = _kind(each)
            if not self._allows(each, kind):
                return f"{given} is {kind} (setting application_networks)"
        return None

    def _allows(self, address: Address, kind: str) -> bool:
        if kind in self._words:
            return True
        ranges = _ranges(address, _FORBIDDEN)
        return any(
            _holds(network, address) and (not ranges or any(_within(network, each) for each in ranges))
            for network in self._networks
        )


def _kind(address: Address) -> str:
    if _ranges(address, _FORBIDDEN):
        return "not an address that applications may have: link-local, metadata, multicast or reserved"
    if address.is_loopback:
        return "loopback"
    return "private" if _ranges(address, _PRIVATE) else "public"


def _meanings(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that an IPv6 one holds, which is what would be reached. Addresses whose
    form says only that another is meant stand for that one alone."""
    if isinstance(address, IPv4Address):
        yield address
        return
    number = int(address)
    if address.is_loopback or number == 0:
        yield address
        return
    for network, before in _EMBEDDED:
        if address in network:
            yield IPv4Address(number >> (128 - 32 - before) & 0xFFFFFFFF)
            return
    if address in _TEREDO:
        yield IPv4Address(~number & 0xFFFFFFFF)
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)
    if number >> 32 & 0xFFFFFFFF in (0x5EFE, 0x2005EFE):  # ISATAP
        yield IPv4Address(number & 0xFFFFFFFF)
    yield address


def _ranges(address: Address, networks: Sequence[Network]) -> list[Network]:
    return [network for network in networks if _holds(network, address)]


def _holds(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
