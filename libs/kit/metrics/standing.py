"""Shows what a service with a database stands on: the database, what it takes in, and what it has to say."""

from collections.abc import Sequence
from typing import Final

from libs.kit import clock
from libs.kit.bus.batches import BatchConsumer
from libs.kit.metrics import parts
from libs.kit.metrics.measure import Measure
from libs.kit.metrics.readings import Rows
from libs.kit.outbox import BundledOutbox, Outbox
from libs.kit.page import Page
from libs.kit.postgres import Database

_STANDING: Final = """
select (select count(*) from (select 1 from {table} limit 10000) counted),
       (select time_ms from {table} order by sequence limit 1)
"""


def show_database(page: Page, database: Database) -> None:
    """How much of the pool is in use."""

    async def read() -> dict[Measure, Rows]:
        used, idle = database.connections
        return {
            parts.CONNECTIONS: [(("used",), used), (("idle",), idle)],
            parts.MOST_CONNECTIONS: [((), database.most_connections)],
        }

    page.look_up("database", (parts.CONNECTIONS, parts.MOST_CONNECTIONS), read)


def show_intakes(page: Page, consumers: Sequence[BatchConsumer]) -> None:
    """How far behind their streams these are; more may be added later."""

    async def read() -> dict[Measure, Rows]:
        now_ms = clock.unix_ms()
        ages, pending = [], []
        for one in consumers:
            names, oldest_ms = (one.stream, one.durable), one.oldest_stored_ms
            ages.append((names, max(0, now_ms - oldest_ms) / 1_000 if oldest_ms else 0.0))
            pending.append((names, float(one.pending)))
        return {parts.LAG: ages, parts.PENDING: pending}

    page.look_up("intake", (parts.LAG, parts.PENDING), read)


def show_outbox(page: Page, database: Database, outbox: Outbox | BundledOutbox) -> None:
    """What waits to be announced."""
    statement = _STANDING.format(table=outbox.table.fullname)

    async def read() -> dict[Measure, Rows]:
        async with database.begin_bulk() as connection:
            count, oldest_ms = await connection.fetchrow(statement)
        age_s = 0.0 if oldest_ms is None else max(0, clock.unix_ms() - oldest_ms) / 1_000
        return {parts.OUTBOX_ROWS: [((), count)], parts.OUTBOX_AGE: [((), age_s)]}

    page.look_up("outbox", (parts.OUTBOX_ROWS, parts.OUTBOX_AGE), read)
