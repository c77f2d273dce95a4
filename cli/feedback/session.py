"""How the asynchronous part of a verb is run beside feedback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cli import address
from cli.feedback.rest import RestFeedback
from deploy.local.home import OPERATOR

T = TypeVar("T")
AUTHOR: Final = OPERATOR
"""Overruled by the gateway, which records the admin key's name."""


def with_feedback(work: Callable[[RestFeedback], Awaitable[T]]) -> T:
    """Run `work` with the feedback that is meant: `LLMOS_BASE_URL` and `LLMOS_ADMIN_KEY`, else the local stack's.

    Raises:
        StackError: there is none to talk to.
        ServiceError: what feedback, or the way there, says.
    """
    url, key = address.admin()

    async def run() -> T:
        async with RestFeedback(url, key) as feedback:
            return await work(feedback)

    return asyncio.run(run())
