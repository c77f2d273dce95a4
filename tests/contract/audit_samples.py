"""One sample of every message of the audit, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import audit as a
from libs.contracts.permissions import Role

ENTRY: Final = a.RecordEntry(
    id="aud_0123456789abcdef01234567",
    phase=a.Phase.DONE,
    time_ms=1,
    author="key_0123456789abcdef01234567",
    role=Role.OPERATOR,
    operation="alias_set",
    object="/models/helpdesk/aliases/champion",
    tenant="shop",
    address="127.0.0.1",
    request_id="req-1",
    request="ab" * 32,
    before="cd" * 32,
    after="ef" * 32,
    status=200,
    error="conflict",
)
ROW: Final = a.AuditRow(number=2, recorded_ms=3, link="0f" * 32, entry=ENTRY)

AUDIT_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "RecordEntry": ENTRY,
    "AuditRow": ROW,
    "HeadMoved": a.HeadMoved(id="head-2-0f0f", time_ms=4, number=2, link="0f" * 32),
    "FindEntries": a.FindEntries(
        author="key_0123456789abcdef01234567",
        tenant="shop",
        operation="alias_set",
        object="/models/helpdesk",
        since_ms=5,
        until_ms=6,
        before=7,
        limit=8,
    ),
    "EntryPage": a.EntryPage((ROW,), next=2),
    "VerifyChain": a.VerifyChain(after=1, link="0e" * 32, limit=9),
    "Verified": a.Verified(
        rows=1, until=2, link="0f" * 32, head=3, faults=(a.ChainFault(number=3, what="cut_off"),), has_more=True
    ),
    "ChainFault": a.ChainFault(number=3, what="missing"),
}
