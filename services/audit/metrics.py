"""What Prometheus can read of the audit: how long the chain is, and how long it was said to be."""

from typing import Final

from libs.kit.bus import BusError
from libs.kit.errors import ServiceError
from libs.kit.metrics.measure import Measure, gauge
from libs.kit.metrics.readings import Rows
from libs.kit.page import Page
from libs.kit.postgres import Database
from services.audit import repository
from services.audit.heads import Heads

_ROWS: Final = gauge("llmos_audit_chain_rows", "Number of the newest row of the chain.")
_SAID: Final = gauge("llmos_audit_head_rows", "Number of the newest row that was said on the bus; never above it.")

MEASURES: Final = (_ROWS, _SAID)


def show(page: Page, database: Database, heads: Heads) -> None:
    """Show both numbers; the rows are read last, so that what is said meanwhile is among them."""

    async def read() -> dict[Measure, Rows]:
        said = await _said(heads)
        async with database.begin() as connection:
            last = await repository.last(connection)
        return {_ROWS: [((), last.number)], _SAID: said}

    page.look_up("chain", MEASURES, read)


async def _said(heads: Heads) -> Rows:
    try:
        return [((), (await heads.said()).number)]
    except BusError as error:
        raise ServiceError("bus_unavailable", f"The newest link cannot be read: {error}.") from error
