"""`./llmos usage`."""

import time
from typing import Annotated

import typer

from cli import show, times
from cli.keys import tables
from cli.keys.options import Json, Limit, Tenant
from cli.keys.session import listed
from libs.contracts.identity import FindUsage, UsageRow


def run(
    *,
    tenant: Tenant = "",
    key: Annotated[str, typer.Option(metavar="KEY", help="Only of this key, by its id.")] = "",
    since: Annotated[str, typer.Option(metavar="WHEN", help=times.SINCE_HELP)] = "30d",
    limit: Limit = 1_000,
    as_json: Json = False,
) -> None:
    """Requests and tokens by day, project and key."""
    day = time.strftime("%Y-%m-%d", time.gmtime(times.since_ms(since) / 1_000))
    asked = FindUsage(tenant=tenant, key=key, since_day=day)
    found: list[UsageRow] = listed("usage", asked, lambda page: page.rows, limit)
    if as_json:
        show.emit(found)
    else:
        tables.usage(found)
