"""`feedback erase`: remove the text of one answer, or of everything that one person asked."""

from typing import Annotated

import typer

from cli import show, ui
from cli.feedback.rest import RestFeedback
from cli.feedback.session import AUTHOR, with_feedback
from libs.contracts.feedback import Erase, Erasure
from libs.kit.signals import request_id_of


def erase(
    ident: Annotated[str, typer.Argument(metavar="[ID]", help="One answer, by the id that the client got.")] = "",
    *,
    user: Annotated[str, typer.Option(help="All of one person: the `user` of the requests.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose it is, else the key's own project's.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Remove text for good; says which published data sets still contain it."""
    if bool(ident) == bool(user):
        raise typer.BadParameter("name one answer, or a person with --user", param_hint="ID")
    request_id = request_id_of(ident) if ident else ""
    if not yes:
        what = f"everything of user {user!r}" if user else f"the answer {ident}"
        whose = f"tenant {tenant!r}" if tenant else "the key's project"
        typer.confirm(f"Remove {what} of {whose}? It cannot be brought back", abort=True)

    async def work(feedback: RestFeedback) -> Erasure:
        wanted = Erase(tenant=tenant, request_id=request_id, user=user, author=AUTHOR)
        done: Erasure = await feedback.call("erase", wanted)
        return done

    done = with_feedback(work)
    if as_json:
        show.emit(done)
        return
    ui.say(f"{ui.WELL} text of {done.interactions} interactions and {done.signals} judgements is gone")
    for reference in done.datasets:
        ui.say(f"  [yellow]still in[/yellow] {show.plain(reference)}")
