"""The only reader of the environment on the command's side."""

import os
from collections.abc import Mapping

from deploy.local.client import Stack
from deploy.local.options import home_from


def environment() -> Mapping[str, str]:
    """The environment of whoever called the command."""
    return os.environ


def stack() -> Stack:
    """The stack of the home that `LLMOS_HOME` names, else of this checkout."""
    return Stack(home_from(os.environ))
