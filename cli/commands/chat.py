"""`./llmos chat`."""

from typing import Annotated

import typer

from cli import served, settings, ui
from cli.talk import Messages, Talk
from deploy.local.errors import StackError
from deploy.local.state import Phase


def run(
    system: Annotated[
        str | None, typer.Option(help="An instruction that the model sees before the conversation.")
    ] = None,
) -> None:
    """A conversation, until Ctrl-D."""
    stack = settings.stack()
    state = stack.state()
    if state is None or state.phase not in (Phase.READY, Phase.DEGRADED):
        raise StackError("Nothing is up to talk to.", "Start it: ./llmos up --detach")
    served.fill(stack, state)
    talk = Talk(state, stack.api_key())
    beginning: Messages = [{"role": "system", "content": system}] if system else []
    messages = list(beginning)
    ui.say(f"[dim]  {state.model}   /new begins again, Ctrl-D ends[/dim]\n")
    while (question := _read()) is not None:
        if question == "/new":
            messages = list(beginning)
        elif question:
            messages.append({"role": "user", "content": question})
            answer = talk.stream(messages, lambda text: ui.out.print(text, end="", markup=False))
            ui.say("\n")
            messages.append({"role": "assistant", "content": answer.text})


def _read() -> str | None:
    try:
        return ui.out.input("[cyan]>[/cyan] ").strip()
    except EOFError:
        return None
