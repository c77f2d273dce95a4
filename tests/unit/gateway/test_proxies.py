"""Who asked, behind proxies that are trusted, and whoever pretends to be one."""

import ipaddress

import pytest

from services.gateway.proxies import Proxies

BALANCERS = ("10.1.0.0/16", "fd00::/64")


@pytest.mark.parametrize(
    ("peer", "forwarded", "origin"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.7"], "203.0.113.9"),
        ("10.1.0.2", [], "10.1.0.2"),
        ("10.1.0.2", ["198.51.100.7"], "198.51.100.7"),
        ("10.1.0.2", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("10.1.0.2", ["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
        ("10.1.0.2", ["6.6.6.6, 198.51.100.7, 10.1.0.3"], "198.51.100.7"),
        ("10.1.0.2", ["6.6.6.6,10.1.0.9", "198.51.100.7"], "198.51.100.7"),
        ("10.1.0.2", ["10.1.0.4, 10.1.0.3"], "10.1.0.4"),
        ("10.1.0.2", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.1.0.2", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("fd00::5", ["2001:db8::1"], "2001:db8::1"),
        ("10.1.0.2", ["198.51.100.7, '; drop table entries"], "10.1.0.2"),
        ("10.1.0.2", ["198.51.100.7, "], "10.1.0.2"),
        ("10.1.0.2", ["198.51.100.7, unknown, 10.1.0.3"], "10.1.0.3"),
        ("10.1.0.2", [", ".join(["10.1.0.3"] * 10_000)], "10.1.0.3"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_only_what_a_trusted_proxy_has_added_is_believed(peer: str, forwarded: list[str], origin: str) -> None:
    proxies = Proxies([ipaddress.ip_network(each) for each in BALANCERS])
    assert proxies.origin(peer, forwarded) == origin


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert Proxies().origin("127.0.0.1", ["198.51.100.7"]) == "127.0.0.1"
