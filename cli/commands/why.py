"""`./llmos why ID`; status 1 where the answer is not known."""

from typing import Annotated

import typer

from cli import show
from cli.lineage import tables
from cli.lineage.rest import RestLineage
from cli.session import run_with
from libs.contracts.lineage import AnswerLineage, AnswerRef


def run(
    ident: Annotated[str, typer.Argument(metavar="ID", help="Of the answer, as the client got it.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what shaped an answer."""

    async def work(lineage: RestLineage) -> AnswerLineage:
        found: AnswerLineage = await lineage.call("answer_why", AnswerRef(ident))
        return found

    found = run_with(RestLineage, work)
    if as_json:
        show.emit(found)
    else:
        tables.why(found)
