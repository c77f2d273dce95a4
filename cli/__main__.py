"""`./llmos COMMAND`: imports only what the command needs, and never answers a foreseeable failure with a traceback."""

import difflib
import importlib
import signal
import sys
from types import FrameType
from typing import Final

import typer

from cli import ui
from deploy.local.errors import StackError

COMMANDS: Final = {
    "up": "Start the whole stack and watch over it",
    "demo": "Start the stack and ask the model some questions",
    "chat": "Talk to the model",
    "status": "What runs, where, and how to reach it",
    "logs": "What the processes say",
    "down": "Stop everything",
    "doctor": "Check this machine and this checkout",
    "test": "Run the checks and the tests",
    "bench": "Measure, beside other systems",
    "lock": "Resolve the dependencies again and write the lock files",
}
INTERRUPTED: Final = 130


def main() -> None:
    """Run one command."""
    signal.signal(signal.SIGTERM, _interrupt)
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("help", [])
    if name in ("help", "-h", "--help"):
        ui.help_page(COMMANDS)
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
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
