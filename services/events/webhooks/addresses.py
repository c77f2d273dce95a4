"""Where a webhook may go: public addresses only, unless the operator allows others; and never by a second look-up."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from libs.contracts.webhooks import MAX_URL

Resolve = Callable[[str, int], Awaitable[list[str]]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS: Final = {"https": 443, "http": 80}
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_PRINTABLE: Final = range(0x21, 0x7F)


class AddressError(Exception):
    """Nothing may be sent there; its text is for the webhook's owner and names no address."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A checked address: connect to `address`, speak to `host`."""

    address: str
    """An IP address, as it stands in a URL."""
    host: str
    scheme: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """With the checked address in place of the name."""
        return f"{self.scheme}://{self.address}:{self.port}{self.path}"

    @property
    def host_header(self) -> str:
        """What the receiver is called."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


async def system_resolve(host: str, port: int) -> list[str]:
    """Every address of a name, by the system's resolver.

    Raises:
        OSError: it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def check_url(url: str, *, allow_private: bool) -> SplitResult:
    """What can be told of a URL without looking anything up.

    Raises:
        AddressError: nothing may be sent there.
    """
    if not url or len(url) > MAX_URL or any(ord(letter) not in _PRINTABLE for letter in url) or "\\" in url:
        raise AddressError(f"it must be a URL of at most {MAX_URL} characters, without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"it is not a URL: {error}") from error
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise AddressError("it must begin with https://")
    if not parts.hostname or port == 0:
        raise AddressError("it names no host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressError("it may hold neither a user nor a fragment")
    if not allow_private:
        literal = _literal(parts.hostname)
        if literal is not None and not is_public(literal):
            raise AddressError("its address is not public")
    return parts


async def check(url: str, *, allow_private: bool, resolve: Resolve = system_resolve) -> Target:
    """Look the host up once, and check every address that it has.

    Raises:
        AddressError: nothing may be sent there.
    """
    parts = check_url(url, allow_private=allow_private)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        found = [ipaddress.ip_address(each.partition("%")[0]) for each in await resolve(host, port)]
    except (OSError, UnicodeError, ValueError) as error:
        raise AddressError("its host has no address") from error
    if not found:
        raise AddressError("its host has no address")
    if not allow_private and not all(is_public(each) for each in found):
        raise AddressError("its host has an address that is not public")
    chosen = found[0]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    address = f"[{chosen}]" if chosen.version == 6 else str(chosen)
    return Target(address=address, host=host, scheme=parts.scheme, port=port, path=path)


def is_public(address: _Address) -> bool:
    """Whether it is an address of the open internet, also where an IPv4 address hides in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and any(address in network for network in _NAT64):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is None and int(address) >> 32 == 0:
            # IPv4-compatible addresses, which some systems still follow.
            return False
        if address.is_site_local or (inner is not None and not is_public(inner)):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def _literal(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
