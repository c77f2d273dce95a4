"""Which installation a verb talks to: the one that the environment names, else the local stack."""

from collections.abc import Callable
from typing import Final

from cli import settings
from deploy.local.client import Stack
from deploy.local.errors import StackError
from deploy.local.state import Phase

_UP: Final = (Phase.READY, Phase.DEGRADED, Phase.STARTING)


def admin() -> tuple[str, str]:
    """Address and admin key of a gateway: `LLMOS_BASE_URL` and `LLMOS_ADMIN_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
    """
    return _address("LLMOS_ADMIN_KEY", lambda stack: stack.admin_key())


def user() -> tuple[str, str]:
    """Address and ordinary key of a gateway: `LLMOS_BASE_URL` and `LLMOS_API_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
    """
    return _address("LLMOS_API_KEY", lambda stack: stack.api_key())


def _address(variable: str, own_key: Callable[[Stack], str]) -> tuple[str, str]:
    environment = settings.environment()
    url, key = environment.get("LLMOS_BASE_URL", ""), environment.get(variable, "")
    if url and not key:
        raise StackError(f"LLMOS_BASE_URL is set, but {variable} is not.", "Set both, or neither.")
    if url:
        return url, key
    stack = settings.stack()
    state = stack.state()
    if state is None or state.phase not in _UP or not state.base_url:
        raise StackError(
            "Nothing is up here.", f"Start it: ./llmos up --detach. Another one: set LLMOS_BASE_URL and {variable}."
        )
    return state.base_url, key or own_key(stack)
