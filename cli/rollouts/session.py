"""How the asynchronous part of a verb is run beside the rollout service."""

from typing import Any

import msgspec

from cli.rollouts.rest import RestRollouts
from cli.session import AUTHOR, run_with

__all__ = ["AUTHOR", "ask"]


def ask(operation: str, request: msgspec.Struct) -> Any:
    """The result of one operation of the rollout service that is meant, as `cli.session.run_with` says."""

    async def work(rollouts: RestRollouts) -> Any:
        return await rollouts.call(operation, request)

    return run_with(RestRollouts, work)
