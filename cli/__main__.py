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
from libs.kit.errors import ServiceError

INTERRUPTED: Final = 130
CONFLICT: Final = 3
"""Exit status where somebody else was faster, so that a script can tell."""
REMEDIES: Final = {
    "registry_unavailable": "See: ./llmos status, ./llmos logs registry",
    "feedback_unavailable": "See: ./llmos status, ./llmos logs feedback",
    "interaction_not_found": "It may have been too long ago, or not yet been recorded: ./llmos feedback list",
    "trainer_unavailable": "See: ./llmos status, ./llmos logs trainer",
    "scheduler_unavailable": "See: ./llmos status, ./llmos logs scheduler",
    "rollout_unavailable": "See: ./llmos status, ./llmos logs rollout",
    "events_unavailable": "See: ./llmos status, ./llmos logs events",
    "identity_unavailable": "See: ./llmos status, ./llmos logs identity",
    "job_not_found": "What there is: ./llmos jobs list",
    "bus_unavailable": "See: ./llmos status, ./llmos logs nats",
    "storage_unavailable": "See: ./llmos logs objects. Then repeat the command: what has arrived is not sent again.",
    "audit_unavailable": "See: ./llmos status, ./llmos logs audit",
    "invalid_api_key": "LLMOS_ADMIN_KEY must be an admin key of that gateway, LLMOS_API_KEY an ordinary one.",
    "forbidden": "LLMOS_ADMIN_KEY must be an admin key of that gateway.",
    "version_not_found": "A bare name means its champion. What there is: ./llmos models list",
    "version_in_use": "Move the alias or the deployment first: ./llmos models show REF",
}
MODELS_REMEDIES: Final = {"conflict": "As it is now: ./llmos models aliases NAME, ./llmos models deployments"}
"""Of `./llmos models` alone."""


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
    try:
        _build(name)(arguments, prog_name=f"./llmos {name}")
    except StackError as error:
        ui.fail(error.message, error.remedy)
        sys.exit(1)
    except ServiceError as error:
        own = MODELS_REMEDIES if name == "models" else {}
        ui.fail(error.message, own.get(error.code) or REMEDIES.get(error.code, ""))
        sys.exit(CONFLICT if error.code == "conflict" else 1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _build(name: str) -> typer.Typer:
    """The command's module as an application: of one function, or of one function per verb."""
    module = importlib.import_module(f"cli.commands.{name.replace('-', '_')}")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    if not hasattr(module, "VERBS"):
        app.command(help=COMMANDS[name] + ".", context_settings=getattr(module, "CONTEXT", {}))(module.run)
        return app
    app.callback(no_args_is_help=True)(lambda: None)
    app.info.help = COMMANDS[name] + "."
    for verb, run in module.VERBS.items():
        app.command(verb)(run)
    return app


def _interrupt(_: int, __: FrameType | None) -> None:
    """SIGTERM is answered like Ctrl-C, so that both take the stack down in order."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
