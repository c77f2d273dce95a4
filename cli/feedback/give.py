"""`feedback give`: judge one answer."""

import asyncio
from typing import Annotated, Any, Final

import typer

from cli import address, ui
from cli.feedback.door import Door
from libs.contracts.feedback import SignalKind
from libs.kit import clock

_PATIENCE_S: Final = 15.0
_THUMBS: Final = {"up": True, "down": False}


def give(  # noqa: PLR0913 - one per option
    inference_id: Annotated[str, typer.Argument(metavar="ID", help="As the client got it, for example chatcmpl-….")],
    rating: Annotated[str, typer.Argument(metavar="up|down|SCORE", help="A score is a number from 0 to 1.")] = "",
    *,
    comment: Annotated[str, typer.Option(help="What there is to say about it.")] = "",
    better: Annotated[str, typer.Option(help="The better answer.")] = "",
    rater: Annotated[str, typer.Option(help="Who judges; else the API key.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    episode: Annotated[bool, typer.Option("--episode", help="ID names an episode, not one answer.")] = False,
) -> None:
    """Judge an answer: a thumb or a score, a comment, the better answer; each is kept as a signal of its own."""
    judgements = _judgements(rating, comment, better)
    common: dict[str, Any] = {"episode_id" if episode else "inference_id": inference_id, "tags": tag or []}
    if rater:
        common["rater"] = rater
    url, key = address.user()

    async def work() -> list[str]:
        async with Door(url, key, patience_s=_PATIENCE_S) as door:
            return [
                await door.give({**common, "kind": kind, "value": value}, clock.new_event_id())
                for kind, value in judgements
            ]

    for (kind, _), signal in zip(judgements, asyncio.run(work()), strict=True):
        ui.say(f"{ui.WELL} {kind}  [dim]{signal}[/dim]")


def _judgements(rating: str, comment: str, better: str) -> list[tuple[SignalKind, bool | float | str]]:
    """What was said, kind by kind.

    Raises:
        typer.BadParameter: nothing was said, or the rating is none.
    """
    found: list[tuple[SignalKind, bool | float | str]] = []
    if rating in _THUMBS:
        found.append((SignalKind.THUMB, _THUMBS[rating]))
    elif rating:
        try:
            found.append((SignalKind.SCORE, float(rating)))
        except ValueError:
            raise typer.BadParameter(f"{rating!r} is not up, down or a number", param_hint="up|down|SCORE") from None
    if comment:
        found.append((SignalKind.COMMENT, comment))
    if better:
        found.append((SignalKind.DEMONSTRATION, better))
    if not found:
        raise typer.BadParameter("say up, down or a score, or give a comment or a better answer")
    return found
