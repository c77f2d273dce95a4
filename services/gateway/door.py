"""Whether a request may come in: its key, what the key may do, and no key in the address."""

import urllib.parse
from typing import Final

from starlette.requests import HTTPConnection

from libs.contracts.permissions import Permission
from libs.kit.errors import ServiceError
from services.gateway.identity import Keyring, Principal

_KEYS_IN_URLS: Final = frozenset({"api_key", "api-key", "apikey", "x-api-key", "key", "access_token", "authorization"})


class Door:
    """Lets in who has a key with the permission that a route names."""

    def __init__(self, keyring: Keyring) -> None:
        """Know the keys."""
        self._keyring = keyring

    def admit(self, request: HTTPConnection, permission: Permission) -> Principal:
        """Whose request this is.

        Raises:
            ServiceError: `invalid_api_key` or `forbidden`.
        """
        headers = request.headers
        principal = self._keyring.identify(
            headers.get("authorization", "").encode(), headers.get("x-api-key", "").encode()
        )
        principal.require(permission)
        return principal


def has_key_in_query(query: bytes) -> bool:
    """Whether somebody has put a key, or what looks like one, behind the `?`, where logs of others would keep it."""
    if not query:
        return False
    pairs = urllib.parse.parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name.strip().lower() in _KEYS_IN_URLS for name, _ in pairs)


def key_in_url() -> ServiceError:
    """The refusal of such a request; it repeats nothing of the address."""
    return ServiceError(
        "unsupported_parameter",
        "API keys do not belong into an address, where logs keep them. Send it as `Authorization: Bearer <key>`, and"
        " replace this key, for others may have seen it.",
    )
