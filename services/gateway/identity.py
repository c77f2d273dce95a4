"""Who asks: API keys, held as digests in memory, and the principals behind them."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from libs.kit.errors import ServiceError

DEFAULT_TENANT: Final = "default"
_BEARER: Final = b"bearer "
_NAME_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is for."""

    key_id: str
    tenant: str
    cache_salt: str
    """Keeps the tenant's prefix cache apart from others'; nobody outside can guess it."""


class KeyFileError(ValueError):
    """The file of API keys cannot be used."""


class Keyring:
    """The accepted API keys."""

    def __init__(self, principals: dict[bytes, Principal]) -> None:
        """Hold principals by the SHA-256 digest of their key."""
        self._principals = principals

    def __len__(self) -> int:
        return len(self._principals)

    def identify(self, authorization: bytes, api_key: bytes) -> Principal:
        """Whose request this is, by `Authorization: Bearer …`, else by `x-api-key`.

        Raises:
            ServiceError: `invalid_api_key`.
        """
        if authorization[:7].lower() == _BEARER:
            api_key = authorization[7:].strip()
        # Looked up by digest: how long the look-up takes tells nothing about any key.
        principal = self._principals.get(hashlib.sha256(api_key).digest())
        if principal is None:
            raise ServiceError("invalid_api_key", _missing(authorization, api_key))
        return principal


def read_keys(lines: Iterable[str], *, salt_key: bytes = b"") -> Keyring:
    """Read `[<name>:]<key> [<tenant>]` lines; `#` begins a comment.

    Raises:
        KeyFileError: no key at all, a key twice, or a line of another form.
    """
    principals: dict[bytes, Principal] = {}
    for number, line in enumerate(lines, start=1):
        columns = line.partition("#")[0].split()
        if not columns:
            continue
        name, colon, key = columns[0].rpartition(":")
        if not key or (colon and not name) or len(columns) > 2:
            raise KeyFileError(f"line {number}: expected `[<name>:]<key> [<tenant>]`")
        digest = hashlib.sha256(key.encode()).digest()
        if digest in principals:
            raise KeyFileError(f"line {number}: this key is there already")
        tenant = columns[1] if len(columns) == 2 else DEFAULT_TENANT
        salt = hmac.new(salt_key or digest, tenant.encode(), hashlib.sha256).hexdigest()
        principals[digest] = Principal(name or f"key-{digest.hex()[:_NAME_DIGITS]}", tenant, salt)
    if not principals:
        raise KeyFileError("no key in it")
    return Keyring(principals)


def _missing(authorization: bytes, api_key: bytes) -> str:
    if not authorization and not api_key:
        return "No API key. Send it as `Authorization: Bearer <key>` or `x-api-key: <key>`."
    return "This API key is not known."
