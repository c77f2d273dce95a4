"""How the asynchronous part of a verb is run beside a service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cli import address
from cli.rest import RestCaller
from deploy.local.home import OPERATOR

C = TypeVar("C", bound=RestCaller)
T = TypeVar("T")
AUTHOR: Final = OPERATOR
"""Overruled by the gateway, which records the admin key's name."""


def run_with(kind: Callable[[str, str], C], work: Callable[[C], Awaitable[T]]) -> T:
    """Run `work` with the service that is meant: `LLMOS_BASE_URL` and `LLMOS_ADMIN_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
        ServiceError: what the service, or the way there, says.
    """
    url, key = address.admin()

    async def run() -> T:
        async with kind(url, key) as service:
            return await work(service)

    return asyncio.run(run())
