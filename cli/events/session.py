"""How the asynchronous part of a verb is run beside the events service."""

from typing import Any

import msgspec

from cli.events.rest import RestEvents
from cli.session import AUTHOR, run_with

__all__ = ["AUTHOR", "ask"]


def ask(operation: str, request: msgspec.Struct) -> Any:
    """The result of one operation of the events service that is meant, as `cli.session.run_with` says."""

    async def work(events: RestEvents) -> Any:
        return await events.call(operation, request)

    return run_with(RestEvents, work)
