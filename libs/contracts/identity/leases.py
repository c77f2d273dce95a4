"""The leases that keep limits exact, and what was used.

A holder of limits is a project, or a key and all that took over from it. What it may use is divided into shares, one
for each gateway that asks, whose sum never exceeds the limit; a gateway keeps what it uses within its share and so
needs nobody for a single request. A share is a whole, not a change: it holds what is in use and what may yet be used,
and what is repeated, lost or late does no harm. What is in use leaves it when a minute has passed (requests, tokens),
when the request has ended (slots), or with the period (budget).
"""

from typing import Final

import msgspec

from libs.contracts.calls import Empty

LEASE_TTL_S: Final = 20.0
"""The shares of a gateway that is not heard for so long are over: slots return at once, requests and tokens when a
minute has passed, budget with the period."""
RATE_WINDOW_S: Final = 60.0
"""In any stretch of this length no more requests and tokens are begun than a limit per minute says."""


class Amounts(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """So much of each thing that is limited."""

    requests: int = 0
    tokens: int = 0
    slots: int = 0
    """Requests at the same time."""
    budget_tokens: int = 0


NOTHING: Final = Amounts()


class Want(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a gateway keeps of its share for one holder, and what it would like besides."""

    holder: str
    """`project:<name>` or `key:<id>`, of the first key where it was rotated."""
    held: Amounts = NOTHING
    """In use and kept in advance, at most what was granted; the rest goes back."""
    need: Amounts = NOTHING
    """More, for requests that wait."""
    ahead: Amounts = NOTHING
    """More still, for those that are likely to come."""
    period: str = ""
    """To which `held.budget_tokens` belongs, as the last grant told it."""
    used_requests: int = 0
    used_tokens: int = 0
    """Of `held`, within the last minute."""
    frees_s: float = 0.0
    """When some of that leaves the minute; 0 if nothing is used."""
    spent_tokens: int = 0
    """Of `held.budget_tokens`, used by requests that have ended; the rest is reserved, or kept in advance."""
    is_done: bool = False
    """The gateway forgets this holder: `held.budget_tokens` is what was spent, and stays spent."""


class Lease(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A gateway's call for its holders; it also says that the gateway lives. Holders not named keep their shares."""

    gateway: str
    number: int
    """Grows with each call; an older one that comes late changes nothing, the same one is answered as before."""
    wants: tuple[Want, ...]
    epoch: str = ""
    """Of the allocator that granted what is held; empty: the gateway begins anew, and `held` is what was in use."""
    life: int = 0
    """Grows when the gateway begins anew; what was granted to one that has no epoch yet was never used."""
    is_whole: bool = False
    """These are all of its holders, for an allocator that does not know it."""


class Grant(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one gateway has for one holder from now on."""

    holder: str
    share: Amounts = NOTHING
    """In place of what it held."""
    period: str = ""
    """The budget's: another one than before, and what was spent until then is forgotten."""
    period_ends_ms: int = 0
    """0: never."""
    is_contended: bool = False
    """Somebody else is short: keep nothing in advance."""
    elsewhere_requests: int = 0
    elsewhere_tokens: int = 0
    """Used within the last minute at other gateways, or by such as have gone."""
    elsewhere_spent_tokens: int = 0
    """Of the budget, what will not come back: used by requests that ended at other gateways, or counted as spent."""
    wait_s: float = 0.0
    """When it is worth asking again, where less was granted than is needed."""


class Leased(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The allocator's answer; what it grants is over `LEASE_TTL_S` after the last call that was heard."""

    epoch: str
    """Which allocator granted it: another one after a restart."""
    grants: tuple[Grant, ...] = ()
    is_unknown: bool = False
    """It does not know this gateway and has granted nothing. The next call must be whole; if this one was, nothing is
    held any more."""


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What one key has used at one gateway since that gateway told of it last."""

    tenant: str
    key: str
    requests: int
    tokens: int


class RecordUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway tells what keys have used, and repeats it under the same number until it is answered."""

    gateway: str
    number: int
    """Grows by one; what was recorded is not recorded again."""
    rows: tuple[Used, ...]


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


LEASING: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "lease": (Lease, Leased),
    "usage_record": (RecordUsage, Empty),
}
"""The gateways' own calls, which every identity process hears and only the one that leads answers."""
