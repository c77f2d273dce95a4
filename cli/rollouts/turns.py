"""How loops and their turns are shown."""

from collections.abc import Iterable
from typing import Final

from cli import show, ui
from libs.contracts.rollouts import LoopStatus, Turn, TurnState

STATES: Final = {
    TurnState.PROMOTED: ui.WELL,
    TurnState.HELD_BACK: "[yellow]-[/yellow]",
    TurnState.TAKEN_BACK: ui.BAD,
    TurnState.FAILED: ui.BAD,
    TurnState.CANCELLED: "[dim]·[/dim]",
}
_BUSY: Final = "[cyan]…[/cyan]"


def loops(found: Iterable[LoopStatus]) -> None:
    """A list of loops."""
    rows = [
        ("[yellow]‖[/yellow]" if each.loop.paused else ui.WELL, show.plain(each.loop.name), show.plain(each.loop.model),
         _signals(each), _newest(each.turn), _waits(each))
        for each in found
    ]  # fmt: skip
    show.table(("", "loop", "model", "signals", "newest turn", "waits for"), rows)


def loop(found: LoopStatus) -> None:
    """One loop, whole."""
    one = found.loop
    show.facts(
        (
            ("Loop", show.plain(one.name)),
            ("Model", show.plain(one.model)),
            ("Paused", "yes: it does nothing" if one.paused else ""),
            ("Waits for", _waits(found)),
            ("Signals", _signals(found)),
            ("Not sooner", f"than {one.trigger.min_interval_s:g} s after the last turn began"),
            ("Budget", f"{one.budget.turns_per_day} turns a day, {one.budget.turn_s:g} s each"),
            ("Learns from", show.plain(f"{one.selection.shape.value} {one.selection.name}, {one.selection.tenant}")),
            ("Taught", show.plain(one.base or f"the base of {one.model}")),
            ("Declared by", show.plain(found.author)),
            ("Since", show.when(found.changed_ms)),
        )
    )
    if found.turn is not None:
        ui.say("")
        turn(found.turn)


def turns(found: Iterable[Turn]) -> None:
    """A list of turns."""
    rows = [
        (STATES.get(each.state, _BUSY), each.id, show.plain(f"{each.loop} {each.number}"), _words(each.state),
         str(each.signals), show.plain(each.version), show.when(each.began_ms), show.short(each.reason, 80))
        for each in found
    ]  # fmt: skip
    show.table(("", "turn", "of", "state", "signals", "made", "since", "reason"), rows)


def turn(found: Turn) -> None:
    """One turn: which judgements led to which data set, job, report and rollout."""
    window = f"{show.when(found.since_ms) if found.since_ms else 'the beginning'} to {show.when(found.until_ms)}"
    show.facts(
        (
            ("Turn", f"{found.id}  {show.plain(found.loop)} {found.number}"),
            ("State", f"{STATES.get(found.state, _BUSY)} {_words(found.state)}"),
            ("Because", show.plain(found.reason)),
            ("Began", show.when(found.began_ms) + (f", by {show.plain(found.author)}" if found.author else "")),
            ("Signals", str(found.signals)),
            ("Selected", window if found.until_ms else ""),
            ("Build", found.dataset_job),
            ("Data set", show.plain(found.dataset)),
            ("Job", found.job),
            ("Version", show.plain(found.version)),
            ("Report", show.plain(found.report)),
            ("Rollout", found.rollout),
        )
    )


def _signals(found: LoopStatus) -> str:
    return f"{found.signals} of {found.loop.trigger.signals}"


def _waits(found: LoopStatus) -> str:
    return show.plain(found.waits_for) or ("to be resumed" if found.loop.paused else "")


def _newest(found: Turn | None) -> str:
    return f"{STATES.get(found.state, _BUSY)} {found.number} {_words(found.state)}" if found is not None else ""


def _words(state: TurnState) -> str:
    return state.value.replace("_", " ")
