"""Who asks: keys, held as digests in memory, and the principals behind them."""

import dataclasses
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog

from libs.contracts.identity import KeyRecord, Limits
from libs.contracts.permissions import Permission, Role, granted
from libs.kit import clock
from libs.kit.errors import ServiceError

log = structlog.get_logger(__name__)

DEFAULT_TENANT: Final = "default"
_BEARER: Final = b"bearer "
_NAME_DIGITS: Final = 8
_NO_LIMITS: Final = Limits()
_TENANT: Final = re.compile(rb"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MOST_ACTING: Final = 1_000
_ACTS: Final = frozenset({Permission.INFERENCE_USE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request is for, and what it may do."""

    key_id: str
    tenant: str
    """Whom requests are recorded for; a key of the platform asks models for `DEFAULT_TENANT`."""
    cache_salt: str
    """Keeps the tenant's prefix cache apart from others'; nobody outside can guess it."""
    role: Role
    permissions: frozenset[Permission]
    is_platform: bool = False
    is_acting: bool = False
    """Whether it asks for the tenant that a request names: a part of the platform, which works for all of them."""
    scopes: frozenset[Permission] = frozenset()
    models: frozenset[str] = frozenset()
    """Names that it may ask, with all of their versions; empty: every one."""
    limits: Limits = _NO_LIMITS
    first_key: str = ""
    """The key with which it shares its limits, where it took over from another."""
    tenant_limits: Limits = _NO_LIMITS
    expires_ms: int = 0
    """0: never."""

    @property
    def reach(self) -> str:
        """The tenant whose things it may see and touch; empty: everybody's."""
        return "" if self.is_platform else self.tenant

    def require(self, permission: Permission) -> None:
        """Return if the key has the permission.

        Raises:
            ServiceError: `forbidden`.
        """
        if permission not in self.permissions:
            text = f"This API key (role {self.role}) may not do this: it needs `{permission}`."
            raise ServiceError("forbidden", text)

    def is_allowed(self, model: str) -> bool:
        """Whether the key's own list of models has this one, or no list was given to it."""
        return not self.models or model in self.models or model.partition("@")[0] in self.models

    def is_known(self, owner: str) -> bool:
        """Whether a model of the tenant `owner` exists for this key; one of the platform (empty) does for all."""
        return not owner or self.is_platform or owner == self.tenant


class KeyFileError(ValueError):
    """The file of API keys cannot be used."""


class Keyring:
    """The accepted API keys: those of files, and those that the identity service has told of."""

    def __init__(self, principals: dict[bytes, Principal], *, salt_key: bytes = b"") -> None:
        """Hold principals of files by the SHA-256 digest of their key; the service cannot change these."""
        self.is_whole = True
        """Whether every key is known; until then one that is not may yet be."""
        self._files = frozenset(principals)
        self._principals = principals
        self._digests: dict[str, bytes] = {}
        """Of the service's keys that are accepted, by their ids."""
        self._salt_key = salt_key
        self._acting: dict[tuple[str, bytes], Principal] = {}

    def __len__(self) -> int:
        return len(self._principals)

    def identify(self, authorization: bytes, api_key: bytes) -> Principal:
        """Whose request this is, by `Authorization: Bearer …`, else by `x-api-key`.

        Raises:
            ServiceError: `invalid_api_key`; `identity_unavailable`, it may be a key that was not read yet.
        """
        if authorization[:7].lower() == _BEARER:
            api_key = authorization[7:].strip()
        # Looked up by digest: how long the look-up takes tells nothing about any key.
        principal = self._principals.get(hashlib.sha256(api_key).digest())
        if principal is None and api_key and not self.is_whole:
            text = "This gateway has not read all API keys yet. Try again soon."
            raise ServiceError("identity_unavailable", text, retry_after_s=1.0)
        if principal is None:
            raise ServiceError("invalid_api_key", _missing(authorization, api_key))
        if principal.expires_ms and principal.expires_ms <= clock.unix_ms():
            raise ServiceError("invalid_api_key", "This API key has expired.")
        return principal

    def acting_for(self, principal: Principal, tenant: bytes) -> Principal:
        """The principal of an acting key as one of a tenant: who asks is still told, and what it may do is the same.

        Raises:
            ServiceError: `invalid_value`, no tenant has such a name.
        """
        known = self._acting.get((principal.key_id, tenant))
        if known is not None:
            return known
        if _TENANT.fullmatch(tenant) is None:
            text = "`x-llmos-tenant` must be a tenant: 1 to 63 lower-case letters, digits and dashes."
            raise ServiceError("invalid_value", text, param="x-llmos-tenant")
        name = tenant.decode()
        salt = _salt(self._salt_key or principal.cache_salt.encode(), name)
        made = dataclasses.replace(principal, tenant=name, cache_salt=salt)
        if len(self._acting) >= _MOST_ACTING:
            self._acting.clear()
        self._acting[principal.key_id, tenant] = made
        return made

    def change(self, records: Iterable[KeyRecord]) -> None:
        """Take what changed."""
        for record in records:
            self._forget(record.id)
            digest = _digest(record)
            if digest is None or record.is_revoked or digest in self._files:
                continue
            self._digests[record.id] = digest
            self._principals[digest] = _principal_of(record, self._salt_key or digest)

    def replace(self, records: Iterable[KeyRecord]) -> None:
        """Take these as all of the service's keys; the files' stay."""
        records = tuple(records)
        for known in self._digests.keys() - {record.id for record in records}:
            self._forget(known)
        self.change(records)
        self.is_whole = True

    def _forget(self, key_id: str) -> None:
        digest = self._digests.pop(key_id, None)
        if digest is not None:
            del self._principals[digest]


def read_keys(
    lines: Iterable[str], *, salt_key: bytes = b"", is_platform: bool = False, is_acting: bool = False
) -> dict[bytes, Principal]:
    """Read `[<name>:]<key> [<tenant>]` lines; `#` begins a comment. Keys of the platform are admins, others members.

    Acting keys are members that may ask models, for whatever tenant a request names, and nothing else.

    Raises:
        KeyFileError: no key at all, a key twice, or a line of another form.
    """
    principals: dict[bytes, Principal] = {}
    role = Role.ADMIN if is_platform else Role.MEMBER
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
        principals[digest] = Principal(
            key_id=name or f"key-{digest.hex()[:_NAME_DIGITS]}",
            tenant=tenant,
            cache_salt=_salt(salt_key or digest, tenant),
            role=role,
            permissions=_granted(role, is_platform, _ACTS if is_acting else frozenset()),
            is_platform=is_platform,
            is_acting=is_acting,
        )
    if not principals:
        raise KeyFileError("no key in it")
    return principals


@lru_cache(maxsize=1024)
def _granted(role: Role, is_platform: bool, scopes: frozenset[Permission]) -> frozenset[Permission]:  # noqa: FBT001
    """One set for all keys that may do the same."""
    return granted(role, is_platform=is_platform, scopes=scopes)


def _principal_of(record: KeyRecord, salt_key: bytes) -> Principal:
    is_platform = not record.tenant
    tenant = record.tenant or DEFAULT_TENANT
    scopes = frozenset(record.scopes)
    return Principal(
        key_id=record.id,
        tenant=tenant,
        cache_salt=_salt(salt_key, tenant),
        role=record.role,
        permissions=_granted(record.role, is_platform, scopes),
        is_platform=is_platform,
        scopes=scopes,
        models=frozenset(record.models),
        limits=record.limits,
        first_key=record.first_key,
        tenant_limits=record.tenant_limits,
        expires_ms=record.expires_ms,
    )


def _digest(record: KeyRecord) -> bytes | None:
    try:
        return bytes.fromhex(record.digest)
    except ValueError:
        log.error("a key's digest is not hexadecimal; the key is not accepted", key=record.id)
        return None


def _salt(key: bytes, tenant: str) -> str:
    return hmac.new(key, tenant.encode(), hashlib.sha256).hexdigest()


def _missing(authorization: bytes, api_key: bytes) -> str:
    if not authorization and not api_key:
        return "No API key. Send it as `Authorization: Bearer <key>` or `x-api-key: <key>`."
    return "This API key is not known."
