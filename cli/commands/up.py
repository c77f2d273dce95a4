"""`./llmos up`."""

from typing import Annotated

import typer

from cli import bring_up, settings, ui
from deploy.local.options import options_from


def run(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when the stack is ready.")] = False,
    model: Annotated[str | None, typer.Option(help="A model directory, or a name on Hugging Face.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; else a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of inference workers.")] = None,
) -> None:
    """Start the stack unless it is up."""
    stack = settings.stack()
    if stack.is_running:
        state = bring_up.join(stack)
        ui.say(f"{ui.WELL} Already up. To change anything: ./llmos down first.")
        ui.connection(state, stack.api_key())
        return
    options = options_from(settings.environment(), port=port, workers=workers, model=model)
    state = bring_up.start(stack, options, attached=not detach)
    ui.connection(state, stack.api_key())
    if not detach:
        bring_up.stay(stack)
