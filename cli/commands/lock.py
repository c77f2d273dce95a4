"""`./llmos lock`."""

from typing import Annotated

import typer

from cli.bootstrap.locks import BootstrapError
from cli.bootstrap.resolve import resolve_all
from deploy.local.errors import StackError


def run(names: Annotated[list[str] | None, typer.Argument(help="Some of the locks; else all.")] = None) -> None:
    """Resolve `requirements/*.in` again, keeping to the machine's package settings."""
    try:
        resolve_all(names or [])
    except BootstrapError as error:
        raise StackError(str(error)) from error
