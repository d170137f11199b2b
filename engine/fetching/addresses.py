"""Which addresses may be connected to: public ones only.

Python's `is_global` differs between its own releases (3.11.7 calls 192.88.99.1, 64:ff9b:1::1 and 3fff::1 global), so
the registries are copied here: iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Refused whatever the configuration: no image server has such an address.
_NEVER = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    # And cloud metadata services outside these ranges: AWS over IPv6, Google over IPv6, Alibaba, Oracle, Azure's host
    # agent. They give away the machine's credentials.
    "link-local or a cloud's metadata service": (
        *("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/64"),
        *("100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
    ),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "reserved": ("240.0.0.0/4",),
}
# An operator may allow these, for an internal network.
_PRIVATE = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "shared by a provider's customers (RFC 6598)": ("100.64.0.0/10",),
    "for benchmarks (RFC 2544)": ("198.18.0.0/15",),
}
_SPECIAL = {
    "for protocols": ("192.0.0.0/24", "2001::/23"),  # with Teredo, 2001::/32, which wraps an IPv4 address
    "for documentation": ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    "a 6to4 relay or tunnel (RFC 7526)": ("192.88.99.0/24", "2002::/16"),
}
_TABLE = {
    kind: tuple(map(ip_network, networks)) for group in (_NEVER, _PRIVATE, _SPECIAL) for kind, networks in group.items()
}
_UNICAST = ip_network("2000::/3")  # all of IPv6 that is given out to the world (RFC 4291, section 2.4)
_NAT64 = ip_network("64:ff9b::/96")  # how a network without IPv4 reaches it (RFC 6052)


def refusal(address: Address, *, allow_private: bool = False) -> str | None:
    """Returns why an address may not be connected to; None if it may.

    An IPv4 address wrapped in IPv6 is judged as what it is where the wrapping is in use (IPv4-mapped, NAT64); other
    wrappings (IPv4-compatible, 6to4, Teredo, a network's own NAT64) are refused whatever is inside.
    """
    inner = _inner(address)
    if inner is not None:
        return refusal(inner, allow_private=allow_private)
    for kind, networks in _TABLE.items():
        if any(address in network for network in networks):
            return None if allow_private and kind in _PRIVATE else kind
    if address.version == 6 and address not in _UNICAST:
        return "outside of global unicast"
    return None


def parsed(text: str) -> Address:
    """Parses an address as a resolver writes it, without the interface that a link-local one may name."""
    return ip_address(text.partition("%")[0])


def _inner(address: Address) -> IPv4Address | None:
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
