"""Where a request came from, behind proxies that are trusted to say so."""

import ipaddress
from collections.abc import Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HEADER_HOPS: Final = 32
"""Of a header that a client may have begun itself, so many are looked at."""


class Proxies:
    """Networks whose members add the address that they were asked from to `X-Forwarded-For`."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        """Trust nobody, or these."""
        self._trusted = tuple(trusted)

    def origin(self, peer: str, forwarded: Sequence[str]) -> str:
        """Who asked: the peer, or where a trusted one says that it was asked from.

        Args:
            peer: the address at the other end of the connection.
            forwarded: the values of all headers `X-Forwarded-For`, in their order.
        """
        address = peer
        hops = [hop.strip() for value in forwarded for hop in value.split(",")][-_HEADER_HOPS:]
        while hops and self._is_trusted(address):
            hop = _address(hops.pop())
            if hop is None:
                # Whoever wrote this cannot be believed, and nor can what stands before it.
                break
            address = hop
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(known in network for network in self._trusted)


def _address(hop: str) -> str | None:
    """An address as a proxy writes it, perhaps with a port; None if it is none."""
    host = hop
    if hop.startswith("["):
        host = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        host = hop.partition(":")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None
