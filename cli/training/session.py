"""How the asynchronous part of a verb is run beside a trainer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cli import address
from cli.training.rest import RestTrainer
from deploy.local.home import OPERATOR

T = TypeVar("T")
AUTHOR: Final = OPERATOR
"""Overruled by the gateway, which records the admin key's name."""


def with_trainer(work: Callable[[RestTrainer], Awaitable[T]]) -> T:
    """Run `work` with the trainer that is meant: `LLMOS_BASE_URL` and `LLMOS_ADMIN_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
        ServiceError: what the trainer, or the way there, says.
    """
    url, key = address.admin()

    async def run() -> T:
        async with RestTrainer(url, key) as trainer:
            return await work(trainer)

    return asyncio.run(run())
