"""`loops apply|list|show|pause|resume|turn|turns|cancel|remove`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import show, ui
from cli.rollouts import declare, turns
from cli.rollouts.session import AUTHOR, ask
from libs.contracts.rollouts import (
    ApplyLoop,
    FindLoops,
    FindTurns,
    LoopList,
    LoopName,
    LoopStatus,
    Turn,
    TurnPage,
    TurnRef,
)

Name = Annotated[str, typer.Argument(metavar="LOOP", help="Its name.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
_TURN: Final = "turn_"
"""How the id of a turn begins."""


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="The loop; see loops/helpdesk.yaml.")],
    *,
    as_json: Json = False,
) -> None:
    """Declare a loop, or declare it anew; from then on it turns by itself."""
    found: LoopStatus = ask("loop_apply", ApplyLoop(loop=declare.loop(file), author=AUTHOR))
    if as_json:
        show.emit(found)
    else:
        turns.loop(found)


def list_loops(*, as_json: Json = False) -> None:
    """List loops and what each waits for."""
    found: LoopList = ask("loop_list", FindLoops())
    if as_json:
        show.emit(found.loops)
    else:
        turns.loops(found.loops)


def show_one(loop: Name, *, as_json: Json = False) -> None:
    """Show one loop, what it waits for, and its newest turn."""
    found: LoopStatus = ask("loop_show", LoopName(loop))
    if as_json:
        show.emit(found)
    else:
        turns.loop(found)


def turn(loop: Name, *, as_json: Json = False) -> None:
    """Begin a turn at once, whatever the trigger says."""
    found: Turn = ask("loop_turn", LoopName(loop))
    _tell(found, as_json=as_json)


def list_turns(
    of: Annotated[str, typer.Argument(metavar="[LOOP|TURN]", help="Only of this loop, or this one turn.")] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    as_json: Json = False,
) -> None:
    """List turns, newest first, or show one: which judgements led to which data set, job, report and rollout."""
    if of.startswith(_TURN):
        one: Turn = ask("turn_show", TurnRef(of))
        if as_json:
            show.emit(one)
        else:
            turns.turn(one)
        return
    page: TurnPage = ask("turn_list", FindTurns(loop=of, limit=limit))
    if as_json:
        show.emit(page.turns)
    else:
        turns.turns(page.turns)


def cancel(turn: Annotated[str, typer.Argument(metavar="TURN", help="Its id.")], *, as_json: Json = False) -> None:
    """Call a turn off, with whatever of it still runs."""
    found: Turn = ask("turn_cancel", TurnRef(turn))
    _tell(found, as_json=as_json)


def remove(loop: Name) -> None:
    """Forget a loop; its turns stay on record."""
    ask("loop_remove", LoopName(loop))
    ui.say(f"{ui.WELL} {show.plain(loop)} is removed")


def _steer(verb: str, past: str, summary: str) -> Callable[..., None]:
    def run(loop: Name, *, as_json: Json = False) -> None:
        found: LoopStatus = ask(f"loop_{verb}", LoopName(loop))
        if as_json:
            show.emit(found)
        else:
            ui.say(f"{ui.WELL} {show.plain(found.loop.name)} {past}")

    run.__doc__ = summary
    return run


def _tell(found: Turn, *, as_json: bool) -> None:
    if as_json:
        show.emit(found)
    else:
        state = found.state.value.replace("_", " ")
        ui.say(f"{ui.WELL} {found.id} is {state}  [dim]see: ./llmos loops turns {found.id}[/dim]")


VERBS: Final = {
    "apply": apply,
    "list": list_loops,
    "show": show_one,
    "pause": _steer("pause", "is paused", "Begin no turn, and take no step of one that is under way."),
    "resume": _steer("resume", "goes on", "Go on."),
    "turn": turn,
    "turns": list_turns,
    "cancel": cancel,
    "remove": remove,
}
