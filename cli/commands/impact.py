"""`./llmos impact ID`; status 1 where the judgement is not known."""

from typing import Annotated

import typer

from cli import show
from cli.lineage import tables
from cli.lineage.rest import RestLineage
from cli.session import run_with
from libs.contracts.lineage import SignalImpact, SignalRef


def run(
    ident: Annotated[str, typer.Argument(metavar="ID", help="Of the judgement: sig_ and 24 digits.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what a judgement shaped."""

    async def work(lineage: RestLineage) -> SignalImpact:
        found: SignalImpact = await lineage.call("signal_impact", SignalRef(ident))
        return found

    found = run_with(RestLineage, work)
    if as_json:
        show.emit(found)
    else:
        tables.impact(found)
