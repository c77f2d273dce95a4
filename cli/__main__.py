"""`./llmos COMMAND`: imports only what the command needs, and never answers a foreseeable failure with a traceback."""

import difflib
import importlib
import signal
import sys
from types import FrameType
from typing import Final

import typer

from cli import ui
from cli.commands import COMMANDS, HELP
from deploy.local.errors import StackError

INTERRUPTED: Final = 130


def main() -> None:
    """Run one command."""
    signal.signal(signal.SIGTERM, _interrupt)
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else (HELP[0], [])
    if name in HELP:
        ui.help_page(COMMANDS)
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, [*COMMANDS, *HELP], n=1)
        ui.fail(f"There is no command {name!r}.", f"Did you mean {near[0]!r}?" if near else "See: ./llmos --help")
        sys.exit(2)
    module = importlib.import_module(f"cli.commands.{name}")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=COMMANDS[name] + ".", context_settings=getattr(module, "CONTEXT", {}))(module.run)
    try:
        app(arguments, prog_name=f"./llmos {name}")
    except StackError as error:
        ui.fail(error.message, error.remedy)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _interrupt(_: int, __: FrameType | None) -> None:
    """SIGTERM is answered like Ctrl-C, so that both take the stack down in order."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
