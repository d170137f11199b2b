"""Addresses: the world's and no others."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.fetching.addresses import parsed, refusal

NEVER = [
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    # Outside of what is given out, special, or a wrapping that is no longer in use.
    *("192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("::127.0.0.1", "::8.8.8.8", "fec0::1", "64:ff9b:1::1", "100::1", "5f00::1", "4000::1"),
    *("2001::1", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "2002:7f00:1::", "2002:808:808::1"),
]
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("198.18.0.1", "198.19.255.255", "::1", "fc00::1", "fd12:3456::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::c0a8:101"),
]
PUBLIC = [
    *("8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("text", NEVER)
def test_never(text: str) -> None:
    assert refusal(parsed(text))
    assert refusal(parsed(text), allow_private=True)


@pytest.mark.parametrize("text", PRIVATE)
def test_private_only_when_allowed(text: str) -> None:
    assert refusal(parsed(text))
    assert refusal(parsed(text), allow_private=True) is None


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert refusal(parsed(text)) is None


@given(st.integers(0, 2**32 - 1))
def test_a_wrapped_address_is_judged_as_what_is_in_it(number: int) -> None:
    plain = IPv4Address(number)
    for wrapped in (IPv6Address((0xFFFF << 32) + number), IPv6Address((0x64FF9B << 96) + number)):
        assert refusal(wrapped) == refusal(plain)


@given(st.one_of(st.ip_addresses(), st.sampled_from([*NEVER, *PRIVATE, *PUBLIC]).map(parsed)))
def test_nothing_is_let_through_that_python_calls_special(address: IPv4Address | IPv6Address) -> None:
    if refusal(address) is None and address not in ip_network("64:ff9b::/96"):
        judged = getattr(address, "ipv4_mapped", None) or address
        assert judged.is_global
        assert not any((judged.is_multicast, judged.is_reserved, judged.is_loopback, judged.is_link_local))
