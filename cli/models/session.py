"""How the asynchronous part of a verb is run beside a registry."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cli import address
from cli.models.rest import RestRegistry
from deploy.local.home import OPERATOR

T = TypeVar("T")
AUTHOR: Final = OPERATOR
"""Overruled by the gateway, which records the admin key's name."""


def with_registry(work: Callable[[RestRegistry], Awaitable[T]]) -> T:
    """Run `work` with the registry that is meant: `LLMOS_BASE_URL` and `LLMOS_ADMIN_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
        ServiceError: what the registry, or the way there, says.
    """
    url, key = address.admin()

    async def run() -> T:
        async with RestRegistry(url, key) as registry:
            return await work(registry)

    return asyncio.run(run())
