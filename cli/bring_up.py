"""Bringing the stack up with progress, and staying with it: shared by `up`, `demo` and `chat`."""

import time
from typing import Final

from cli import served, settings, ui
from cli.progress import StartView
from deploy.local.client import Stack
from deploy.local.options import StackOptions
from deploy.local.state import PartPhase, StackState

START_TIMEOUT_S: Final = 900.0
_WATCH_EVERY_S: Final = 0.5


def start(stack: Stack, options: StackOptions, *, attached: bool) -> StackState:
    """Start the stack and show how it comes up; takes it down again when that fails or is interrupted.

    Raises:
        StackError: it did not come up.
    """
    stack.start(options, settings.environment(), attached=attached)
    return _follow(stack)


def join(stack: Stack) -> StackState:
    """Wait until a stack that somebody else has started is ready.

    Raises:
        StackError: it did not come up.
    """
    with StartView() as view:
        state = stack.wait_ready(timeout_s=START_TIMEOUT_S, watch=view.show)
    return served.fill(stack, state)


def stay(stack: Stack) -> None:
    """Report what dies and what comes back, until interrupted or until the stack ends; then take it down."""
    ui.say("[dim]  Ctrl-C stops everything.[/dim]\n")
    known: dict[str, PartPhase] = {}
    try:
        while stack.is_running:
            if (state := stack.state()) is not None:
                _report(state, known)
            time.sleep(_WATCH_EVERY_S)
    except KeyboardInterrupt:
        take_down(stack)
        return
    state = stack.state()
    ui.say(f"{ui.WELL} The stack was stopped from elsewhere. {state.message if state is not None else ''}")


def take_down(stack: Stack) -> None:
    """Stop everything and say so."""
    with ui.out.status("stopping", spinner="dots"):
        was_up = stack.stop()
    ui.say(f"{ui.WELL} Stopped; nothing is left running." if was_up else "Nothing was running.")


def _follow(stack: Stack) -> StackState:
    try:
        return join(stack)
    except BaseException:
        with ui.out.status("stopping", spinner="dots"):
            stack.stop()
        raise


def _report(state: StackState, known: dict[str, PartPhase]) -> None:
    """Say what has changed since the last look; silence means that all is well."""
    for part in state.parts:
        before = known.get(part.name, PartPhase.READY)
        if part.phase is PartPhase.RESTARTING and before is not PartPhase.RESTARTING:
            ui.say(f"{ui.SYMBOLS[part.phase]} {part.title} {part.detail}")
        elif part.phase is PartPhase.READY and before in (PartPhase.RESTARTING, PartPhase.STARTING):
            ui.say(f"{ui.WELL} {part.title} is back")
        known[part.name] = part.phase
