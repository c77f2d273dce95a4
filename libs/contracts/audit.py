"""Messages of the audit: entries that gateways have recorded, the chain they stand in, and its newest link.

Calls go to `subjects.audit_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
"""

from enum import StrEnum
from typing import Final

import msgspec

from libs.contracts.permissions import Role

HEADS_EVERY_S: Final = 60.0
"""How often the newest link is said at least."""


class Phase(StrEnum):
    """An entry is recorded before anything is done, and again when it is done."""

    ASKED = "asked"
    DONE = "done"


class RecordEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that somebody does to the platform, or one read of words that people wrote."""

    id: str
    """`aud_<24 hex>`; the same in both phases."""
    phase: Phase
    time_ms: int
    author: str
    """Id of the key."""
    role: Role
    operation: str
    object: str
    """Path in the admin API, without its prefix."""
    tenant: str = ""
    """Of the key; empty: the platform."""
    address: str = ""
    """Where the call came from, as the gateway's socket knows it."""
    request_id: str = ""
    request: str = ""
    """SHA-256 of the call's query and body, in hexadecimal digits."""
    before: str = ""
    """SHA-256 of the object as it was; empty: there was none, or it cannot be read by its path."""
    after: str = ""
    """SHA-256 of the object as it is, or of what was answered where it cannot be read by its path."""
    status: int = 0
    """HTTP status of the answer; 0 while the entry is only asked."""
    error: str = ""
    """Code of the fault that was answered."""


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry at its place in the chain."""

    number: int
    """1 for the first."""
    recorded_ms: int
    link: str
    """HMAC-SHA256 over the previous link, the number, the time of recording and the entry, in hexadecimal digits."""
    entry: RecordEntry


class HeadMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The newest link of the chain."""

    id: str
    time_ms: int
    number: int
    link: str


class FindEntries(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask for entries, newest first; what is empty does not narrow the search."""

    author: str = ""
    tenant: str | None = None
    operation: str = ""
    object: str = ""
    since_ms: int = 0
    until_ms: int = 0
    before: int = 0
    """Only with lower numbers: `next` of the page before."""
    limit: int = 100


class EntryPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Entries, newest first."""

    rows: tuple[AuditRow, ...]
    next: int = 0


class VerifyChain(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask whether the next rows are as they were written; a long chain takes several calls."""

    after: int = 0
    """Number of the last row that was looked at, and its link: `until` and `link` of the answer before."""
    link: str = ""
    limit: int = 20_000


class ChainFault(msgspec.Struct, frozen=True, kw_only=True):
    """One place where the chain is not what it was."""

    number: int
    what: str
    """`changed`, `missing` (from here to the next row), `cut_off` (from here to the newest link that was said) or
    `replaced` (the row is sound, but another link was said for it)."""


class Verified(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was found."""

    rows: int
    until: int
    link: str
    head: int
    """Number of the newest link that was said on the bus; 0: none was."""
    faults: tuple[ChainFault, ...] = ()
    has_more: bool = False


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "audit_list": (FindEntries, EntryPage),
    "audit_verify": (VerifyChain, Verified),
}
