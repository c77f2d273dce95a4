"""The reading verbs: `feedback list|show|stats|dead`."""

from typing import Annotated, Final, Literal, cast, get_args

import typer

from cli import show, times, ui
from cli.feedback import tables
from cli.feedback.rest import RestFeedback
from cli.feedback.session import with_feedback
from libs.contracts.feedback import (
    DeadLetter,
    DeadLetterPage,
    Interaction,
    InteractionPage,
    ListDeadLetters,
    ListInteractions,
    ShowInteraction,
    Statistics,
    StatisticsQuery,
)

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Tenant = Annotated[str, typer.Option(help="Only of this tenant.")]
Version = Annotated[str, typer.Option("--version", metavar="REF", help="Only of this model version.")]
Since = Annotated[str, typer.Option(metavar="WHEN", help=times.SINCE_HELP)]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]
Group = Literal["model_version", "tag", "tenant", "day"]
_GROUPS: Final = get_args(Group)
_PAGE: Final = 100


def list_interactions(
    *,
    judged: Annotated[bool, typer.Option("--judged", help="Only those with a judgement.")] = False,
    tenant: Tenant = "",
    version: Version = "",
    since: Since = "",
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List questions and answers, newest first."""
    since_ms = times.since_ms(since)

    async def work(feedback: RestFeedback) -> tuple[list[Interaction], bool]:
        found: list[Interaction] = []
        before = ""
        while len(found) < limit:
            wanted = ListInteractions(
                tenant=tenant,
                model_version=version,
                since_ms=since_ms,
                judged=judged,
                before=before,
                limit=min(_PAGE, limit - len(found)),
            )
            page: InteractionPage = await feedback.call("interaction_list", wanted)
            found += page.interactions
            before = page.next
            if not before:
                break
        return found, bool(before)

    found, more = with_feedback(work)
    if as_json:
        show.emit(found)
        return
    tables.interactions(found)
    if more:
        ui.say("[dim]  There are more: --limit[/dim]")


def show_interaction(
    ident: Annotated[str, typer.Argument(metavar="ID", help="As the client got it, or the request's own.")],
    *,
    as_json: Json = False,
) -> None:
    """Show one question with its answer and every judgement of it."""

    async def work(feedback: RestFeedback) -> Interaction:
        found: Interaction = await feedback.call("interaction_show", ShowInteraction(ident))
        return found

    found = with_feedback(work)
    if as_json:
        show.emit(found)
    else:
        tables.interaction(found)


def statistics(
    *,
    by: Annotated[str, typer.Option(help=f"What to group by, with commas: {', '.join(_GROUPS)}.")] = _GROUPS[0],
    tenant: Tenant = "",
    version: Version = "",
    since: Since = "",
    as_json: Json = False,
) -> None:
    """Count judgements; approval is that of thumbs somebody gave, with its interval at 95 %."""
    groups = tuple(name.strip() for name in by.split(",") if name.strip())
    unknown = [name for name in groups if name not in _GROUPS]
    if unknown or not groups:
        raise typer.BadParameter(f"these can be grouped by: {', '.join(_GROUPS)}", param_hint="--by")
    query = StatisticsQuery(
        by=cast("tuple[Group, ...]", groups), tenant=tenant, model_version=version, since_ms=times.since_ms(since)
    )

    async def work(feedback: RestFeedback) -> Statistics:
        found: Statistics = await feedback.call("statistics", query)
        return found

    found = with_feedback(work)
    if as_json:
        show.emit(found.rows)
    else:
        tables.statistics(found.rows, groups)


def dead_letters(*, limit: Limit = 20, as_json: Json = False) -> None:
    """Show what could not be taken in, and why, newest first; to replay or drop one: ./llmos dead-letters."""

    async def work(feedback: RestFeedback) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        before = ""
        while len(found) < limit:
            wanted = ListDeadLetters(min(_PAGE, limit - len(found)), before)
            page: DeadLetterPage = await feedback.call("dead_letter_list", wanted)
            found += page.letters
            before = page.next
            if not before:
                break
        return found

    found = with_feedback(work)
    if as_json:
        show.emit(found)
    else:
        tables.dead_letters(found)
