"""What Prometheus can read of identity: who there is, and how much of the limits gateways have."""

from collections.abc import Callable
from typing import Final

from libs.kit import clock
from libs.kit.metrics.measure import Measure, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.metrics.tables import ask
from libs.kit.page import Page
from libs.kit.postgres import Database

_LEADS: Final = gauge("llmos_identity_leads", "1 while this process divides limits among gateways.")
_PROJECTS: Final = gauge("llmos_identity_projects", "Projects that are not closed.")
_KEYS: Final = gauge("llmos_identity_keys", "Keys that were made here, by whether they are good.", "state")
_HOLDERS: Final = gauge("llmos_identity_limited", "Projects and keys of whose limits gateways have shares.")
_OUT: Final = gauge("llmos_identity_shares", "What gateways have of limits, all together.", "quantity")

MEASURES: Final = (_LEADS, _PROJECTS, _KEYS, _HOLDERS, _OUT)

_COUNT: Final = """
select (select count(*) from identity.projects where closed_ms = 0),
       count(*) filter (where revoked_ms = 0 and (expires_ms = 0 or expires_ms > {now_ms})),
       count(*) filter (where revoked_ms = 0 and expires_ms > 0 and expires_ms <= {now_ms}),
       count(*) filter (where revoked_ms > 0)
from identity.keys
"""
_SHARES: Final = """
select count(*), coalesce(sum(requests), 0), coalesce(sum(tokens), 0), coalesce(sum(slots), 0),
       coalesce(sum(budget_tokens), 0)
from identity.shares
"""


def show(page: Page, database: Database, leads: Callable[[], bool]) -> None:
    """Show keys and limits; `leads` says whether this process divides them."""

    async def read() -> dict[Measure, Rows]:
        counted, shares = await ask(database, _COUNT.format(now_ms=clock.unix_ms()), _SHARES)
        projects, good, expired, revoked = counted[0]
        holders, *out = shares[0]
        quantities = ("requests", "tokens", "concurrency", "budget_tokens")
        return {
            _LEADS: [((), float(leads()))],
            _PROJECTS: [((), projects)],
            _KEYS: [(("good",), good), (("expired",), expired), (("revoked",), revoked)],
            _HOLDERS: [((), holders)],
            _OUT: [((name,), float(value)) for name, value in zip(quantities, out, strict=True)],
        }

    page.look_up("identity", MEASURES, read)
