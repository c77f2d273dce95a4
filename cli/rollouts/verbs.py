"""`rollout start|list|show|pause|resume|promote|abort|roll-back`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import following, show, ui
from cli.following import Seen
from cli.rollouts import declare, tables
from cli.rollouts.rest import RestRollouts
from cli.rollouts.session import AUTHOR, ask
from cli.session import run_with
from libs.contracts.rollouts import (
    ROLLOUT_ENDED,
    FindRollouts,
    OrderRollout,
    Rollout,
    RolloutPage,
    RolloutRef,
    RolloutState,
    RolloutStatus,
    SteerRollout,
)

Ident = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def start(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the model whose requests are divided.")],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Reference of what is to take over.")],
    *,
    plan: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Steps and margins; else the usual.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it is over; status 1 if not promoted.")] = False,
    as_json: Json = False,
) -> None:
    """Give a candidate its share of the requests, step by step, as long as nothing shows that it is worse."""
    order = OrderRollout(plan=declare.plan(plan, name=name, candidate=candidate), author=AUTHOR)

    async def work(rollouts: RestRollouts) -> Rollout:
        found: Rollout = await rollouts.call("rollout_order", order)
        if wait and not as_json:
            ui.say(f"  [dim]{found.id}; to stop looking does not stop it[/dim]")
        return await _followed(rollouts, found) if wait else found

    found = run_with(RestRollouts, work)
    if as_json:
        show.emit(found)
    elif wait:
        tables.outcome(found)
    else:
        ui.say(f"{ui.WELL} {found.id} is {found.state.value}  [dim]see: ./llmos rollout show {found.id}[/dim]")
    raise typer.Exit(1 if wait and found.state is not RolloutState.PROMOTED else 0)


def list_rollouts(
    *,
    name: Annotated[str, typer.Option(help="Only of this name.")] = "",
    state: Annotated[RolloutState | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    as_json: Json = False,
) -> None:
    """List rollouts, newest first."""
    page: RolloutPage = ask("rollout_list", FindRollouts(name=name, state=state, limit=limit))
    if as_json:
        show.emit(page.rollouts)
    else:
        tables.rollouts(page.rollouts)


def show_one(rollout: Ident, *, as_json: Json = False) -> None:
    """Show one rollout: its step, what the evidence says of both versions, what it waits for, and what happened."""
    found: RolloutStatus = ask("rollout_show", RolloutRef(rollout))
    if as_json:
        show.emit(found)
    else:
        tables.rollout(found)


async def _followed(rollouts: RestRollouts, found: Rollout) -> Rollout:
    """The rollout when it has ended or is paused.

    Raises:
        ServiceError: nobody could say for too long.
    """

    async def again() -> RolloutStatus:
        status: RolloutStatus = await rollouts.call("rollout_show", RolloutRef(found.id))
        return status

    last = await following.followed(RolloutStatus(rollout=found), again=again, is_over=_is_over, seen=_seen)
    return last.rollout


def _is_over(found: RolloutStatus) -> bool:
    return found.rollout.state in ROLLOUT_ENDED or found.rollout.state is RolloutState.PAUSED


def _seen(found: RolloutStatus) -> Seen:
    one = found.rollout
    why = found.now.reason if found.now is not None else one.reason
    return Seen(one.state.value.replace("_", " "), one.step, len(one.plan.steps), show.short(why))


def _steer(verb: str, summary: str) -> Callable[..., None]:
    def run(
        rollout: Ident,
        *,
        reason: Annotated[str, typer.Option(help="Kept with the change.")] = "",
        as_json: Json = False,
    ) -> None:
        request = SteerRollout(id=rollout, author=AUTHOR, reason=reason)
        found: Rollout = ask(f"rollout_{verb.replace('-', '_')}", request)
        if as_json:
            show.emit(found)
        else:
            ui.say(f"{ui.WELL} {found.id} is {found.state.value.replace('_', ' ')}")

    run.__doc__ = summary
    return run


VERBS: Final = {
    "start": start,
    "list": list_rollouts,
    "show": show_one,
    "pause": _steer("pause", "Keep the share and take no step; harm still aborts it."),
    "resume": _steer("resume", "Go on with the steps."),
    "promote": _steer("promote", "Move the alias to the candidate at once, whatever the evidence says."),
    "abort": _steer("abort", "Take the candidate's share away; the last good version answers everybody."),
    "roll-back": _steer("roll-back", "Move the alias back to the last good version."),
}
