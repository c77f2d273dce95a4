"""Messages of the identity service: organisations, projects, API keys, limits, and the leases that keep limits exact.

Calls go to `subjects.identity_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
A project is a tenant: its name is what `tenant` says in every other message.
"""

from typing import Final

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.permissions import Permission, Role

KEYS_EVERY_S: Final = 1.0
"""How often the identity service says which revision of its keys is the newest."""
LEASE_TTL_S: Final = 10.0
"""A lease that is not renewed for so long is over, and what was not spent of it goes back."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a project or a key may use; 0 is no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    """Of prompt and answer together."""
    concurrency: int = 0
    """Requests that may run or wait at the same time."""
    budget_tokens: int = 0
    """In `budget_period`."""
    budget_period: str = ""
    """`day` or `month` (UTC), or empty: once and for all."""


class Organisation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who projects belong to."""

    name: str
    created_ms: int
    title: str = ""


class Project(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One tenant: its data, models and keys are nobody else's."""

    name: str
    """1 to 63 lower-case letters, digits and dashes; unique on the platform, and for ever."""
    organisation: str
    created_ms: int
    title: str = ""
    limits: Limits = Limits()
    """Shared by all of its keys."""
    closed_ms: int = 0
    """When it was closed: none of its keys is accepted any more. 0: it is open."""
    revision: int = 0
    """Grows with each change; what `If-Match` compares."""


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
    revision: int = 0


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key, shown this once."""

    key: ApiKey
    secret: str
    """`llmos-<43 characters>`: 256 bits of chance."""


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


class CreateOrganisation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Add an organisation; the same call again changes nothing."""

    name: str
    author: str
    title: str = ""


class OrganisationList(msgspec.Struct, frozen=True):
    """All of them, by name."""

    organisations: tuple[Organisation, ...]


class CreateProject(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Add a project to an organisation; the same call again changes nothing."""

    name: str
    organisation: str
    author: str
    title: str = ""
    limits: Limits = Limits()


class ChangeProject(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Change what is given; None leaves it as it is."""

    name: str
    author: str
    title: str | None = None
    limits: Limits | None = None
    closed: bool | None = None
    expected_revision: int | None = None


class FindProjects(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask for projects by name; `tenant` keeps the rest out of sight."""

    tenant: str = ""
    organisation: str = ""
    after: str = ""
    limit: int = 100


class ProjectPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Projects by name."""

    projects: tuple[Project, ...]
    next: str = ""


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


class Grant(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A part of what one holder of limits may use, given to one gateway alone."""

    holder: str
    """`project:<name>` or `key:<id>`."""
    requests: int = 0
    tokens: int = 0
    slots: int = 0
    """Of these three as much as is granted by this call; requests and tokens are spent, slots are given back."""
    budget_tokens: int = 0
    wait_s: float = 0.0
    """When it is worth asking again, where less was granted than was asked for."""
    requests_left: int = 0
    tokens_left: int = 0
    """On the whole platform after this grant: what `x-ratelimit-remaining-*` tells."""


class Want(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a gateway asks for one holder, and what it gives back."""

    holder: str
    requests: int = 0
    tokens: int = 0
    slots: int = 0
    budget_tokens: int = 0
    back_requests: int = 0
    back_tokens: int = 0
    back_slots: int = 0
    back_budget_tokens: int = 0
    spent_tokens: int = 0
    """Settled since the last call: what the budget and the usage figures are charged with."""
    spent_requests: int = 0


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's call for all of its holders at once; it also says that the gateway lives."""

    gateway: str
    number: int
    """Grows with each call; an older one that comes late changes nothing, the same one is answered as before."""
    wants: tuple[Want, ...]


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """What was granted; all of it is over `LEASE_TTL_S` after the last call that was heard."""

    epoch: str
    """Which allocator granted it: another one after a restart, and then nothing that was granted before counts."""
    grants: tuple[Grant, ...]


class FindUsage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask what was used, by day (UTC)."""

    tenant: str = ""
    key: str = ""
    since_day: str = ""
    """`YYYY-MM-DD`."""
    until_day: str = ""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one key used on one day."""

    day: str
    tenant: str
    key: str
    requests: int
    tokens: int


class UsageReport(msgspec.Struct, frozen=True):
    """Rows by day, tenant and key."""

    rows: tuple[UsageRow, ...]


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "organisation_create": (CreateOrganisation, Organisation),
    "organisation_list": (Empty, OrganisationList),
    "project_create": (CreateProject, Project),
    "project_change": (ChangeProject, Project),
    "project_list": (FindProjects, ProjectPage),
    "key_create": (CreateKey, IssuedKey),
    "key_show": (KeyRef, ApiKey),
    "key_list": (FindKeys, KeyPage),
    "key_revoke": (RevokeKey, ApiKey),
    "key_rotate": (RotateKey, IssuedKey),
    "keys_since": (KeysSince, KeyChanges),
    "lease": (Lease, Leased),
    "usage": (FindUsage, UsageReport),
}
"""`keys_since` and `lease` are the gateways' own."""
