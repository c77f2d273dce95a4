"""`./llmos bench`."""

import importlib.util
import subprocess
import sys
from typing import Final

import typer

from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT

CONTEXT: Final = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def run(context: typer.Context) -> None:
    """Pass everything on to the harness in `benchmarks/`."""
    if importlib.util.find_spec("benchmarks.__main__") is None:
        raise StackError("The benchmark harness is not in this checkout.", "It lives in benchmarks/.")
    command = (sys.executable, "-m", "benchmarks", *context.args)
    raise typer.Exit(subprocess.run(command, cwd=CHECKOUT, check=False).returncode)
