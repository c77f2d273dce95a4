"""The leases that keep limits exact, and what was used."""

from typing import Final

import msgspec

LEASE_TTL_S: Final = 10.0
"""A lease that is not renewed for so long is over: its slots go back, what else was granted counts as spent."""


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
    after: str = ""
    limit: int = 1_000


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one key used on one day."""

    day: str
    tenant: str
    key: str
    requests: int
    tokens: int


class UsageReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows by day, tenant and key."""

    rows: tuple[UsageRow, ...]
    next: str = ""
