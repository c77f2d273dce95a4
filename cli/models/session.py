"""Which registry a verb talks to, and how its asynchronous part is run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cli import settings
from cli.models.rest import RestRegistry
from deploy.local.errors import StackError
from deploy.local.home import OPERATOR
from deploy.local.state import Phase

T = TypeVar("T")
AUTHOR: Final = OPERATOR
"""Overruled by the gateway, which records the admin key's name."""
_UP: Final = (Phase.READY, Phase.DEGRADED, Phase.STARTING)


def with_registry(work: Callable[[RestRegistry], Awaitable[T]]) -> T:
    """Run `work` with the registry that is meant: `LLMOS_BASE_URL` and `LLMOS_ADMIN_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
        ServiceError: what the registry, or the way there, says.
    """
    url, key = _address()

    async def run() -> T:
        async with RestRegistry(url, key) as registry:
            return await work(registry)

    return asyncio.run(run())


def _address() -> tuple[str, str]:
    environment = settings.environment()
    url, key = environment.get("LLMOS_BASE_URL", ""), environment.get("LLMOS_ADMIN_KEY", "")
    if url and not key:
        raise StackError("LLMOS_BASE_URL is set, but LLMOS_ADMIN_KEY is not.", "Set both, or neither.")
    if url:
        return url, key
    stack = settings.stack()
    state = stack.state()
    if state is None or state.phase not in _UP or not state.base_url:
        raise StackError(
            "Nothing is up here.", "Start it: ./llmos up --detach. Another one: set LLMOS_BASE_URL and LLMOS_ADMIN_KEY."
        )
    return state.base_url, key or stack.admin_key()
