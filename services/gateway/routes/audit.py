"""Endpoints for the audit; what it holds comes by message, and nothing here changes it."""

from typing import Final

import msgspec

from libs.contracts.audit import FindEntries, VerifyChain
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Endpoint


class EntryFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries; what is left out does not narrow the search."""

    author: str = ""
    tenant: str | None = None
    operation: str = ""
    object: str = ""
    since_ms: int = 0
    until_ms: int = 0
    before: int = 0
    limit: int = 100


class Walk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go on: `until` and `link` of the answer before."""

    after: int = 0
    link: str = ""
    limit: int = 20_000


ENDPOINTS: Final = (
    Endpoint(
        service="audit",
        method="GET",
        path="/audit",
        permission=Permission.AUDIT_READ,
        operation="audit_list",
        summary="Entries, newest first; `next` of one page is `before` of the following one.",
        query=EntryFilter,
        call=lambda asked: FindEntries(**msgspec.structs.asdict(asked.query)),
    ),
    Endpoint(
        service="audit",
        method="GET",
        path="/audit/verification",
        permission=Permission.AUDIT_READ,
        operation="audit_verify",
        summary="Whether rows are as they were written; while `has_more`, ask again from `until` and `link`.",
        query=Walk,
        call=lambda asked: VerifyChain(**msgspec.structs.asdict(asked.query)),
    ),
)
