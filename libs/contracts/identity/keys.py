"""API keys: as people see them, and as gateways know them."""

from typing import Final, Literal

import msgspec

from libs.contracts.identity.tenants import Limits
from libs.contracts.permissions import Permission, Role

KEYS_EVERY_S: Final = 1.0
"""How often the identity service says which revision of its keys is the newest."""


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A key as lists show it; nobody can read the key itself again."""

    id: str
    """`key_<24 hex>`."""
    name: str
    prefix: str
    """Its first characters, so that people can tell which one it is."""
    role: Role
    created_ms: int
    author: str
    tenant: str = ""
    """The project; empty: a key of the platform, which sees every tenant."""
    scopes: tuple[Permission, ...] = ()
    """Within its role; empty: all of it."""
    models: tuple[str, ...] = ()
    """Names that it may ask; empty: all that its project may."""
    limits: Limits = Limits()
    """Beside those of its project."""
    expires_ms: int = 0
    """0: never."""
    revoked_ms: int = 0
    rotated_to: str = ""
    """The key that takes over; both are accepted until this one expires."""
    first_key: str = ""
    """The key at the beginning of those that took over from one another; empty: this one. Limits of a key hold for all
    of them together."""
    revision: int = 0


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, shown this once."""

    key: ApiKey
    secret: str
    """`llmos-<43 characters>`: 256 bits of chance."""

    def __repr__(self) -> str:
        """Whoever prints it by mistake prints no secret."""
        return f"IssuedKey(key={self.key!r})"


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a gateway must know to accept a key, or to accept it no more."""

    id: str
    digest: str
    """SHA-256 of the key in hexadecimal digits."""
    role: Role
    tenant: str = ""
    scopes: tuple[Permission, ...] = ()
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    tenant_limits: Limits = Limits()
    expires_ms: int = 0
    is_revoked: bool = False
    """Or its project is closed."""
    first_key: str = ""
    """As in `ApiKey`."""


class KeysRevision(msgspec.Struct, frozen=True, kw_only=True):
    """Said on `subjects.KEYS` every `KEYS_EVERY_S` and at each change: gateways that know less ask for what changed."""

    store: str
    """Which store of keys this is: another one after it was made anew, and then everything is asked for again."""
    revision: int


class KeysSince(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for what changed."""

    store: str = ""
    revision: int = 0
    limit: int = 500


class KeyChanges(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One page of changes, oldest first."""

    store: str
    revision: int
    """Of the last one in this page; ask again from it while `has_more`."""
    is_whole: bool = False
    """These are all keys from the first on; whoever asks forgets those that he knew."""
    records: tuple[KeyRecord, ...] = ()
    has_more: bool = False


class Authority(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What its author may do, and a key that he makes or rotates must not go beyond."""

    permissions: tuple[Permission, ...]
    tenant: str = ""
    """The only project that he makes keys for; empty: any, and the platform."""
    models: tuple[str, ...] = ()
    """Empty: all that his project may ask."""


class CreateKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Make a key. The same `id` again is answered with `conflict`: the secret is shown once."""

    name: str
    role: Role
    author: str
    tenant: str = ""
    scopes: tuple[Permission, ...] = ()
    models: tuple[str, ...] = ()
    limits: Limits = Limits()
    expires_ms: int = 0
    id: str = ""
    """Chosen by the gateway from an `Idempotency-Key`, else fresh."""
    authority: Authority | None = None
    """None: of whoever runs the platform, who may give anything."""


class KeyRef(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One key; `tenant` keeps those of others out of sight."""

    id: str
    tenant: str = ""


class RevokeKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Accept it no more; again changes nothing."""

    id: str
    author: str
    tenant: str = ""
    expected_revision: int | None = None


class RotateKey(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Make a key with the same rights; the old one stays good for `overlap_s`."""

    id: str
    author: str
    tenant: str = ""
    overlap_s: int = 86_400
    expected_revision: int | None = None
    authority: Authority | None = None
    """As in `CreateKey`."""


class FindKeys(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask for keys, newest first."""

    tenant: str = ""
    after: str = ""
    limit: int = 100
    revoked: bool = False
    """Whether those that are accepted no more are listed, too."""


class KeyPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Keys, newest first."""

    keys: tuple[ApiKey, ...]
    next: str = ""


class KeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A key was made, rotated or revoked; says nothing that would let anybody in."""

    id: str
    time_ms: int
    change: Literal["created", "rotated", "revoked"]
    author: str
    key: ApiKey
