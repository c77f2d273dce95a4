"""How the asynchronous part of a verb is run beside the identity service."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from cli.keys.rest import RestIdentity
from cli.session import AUTHOR, run_with

__all__ = ["AUTHOR", "ask", "listed"]

T = TypeVar("T")
_PAGE = 100


def ask(operation: str, request: msgspec.Struct) -> Any:
    """The result of one operation of the identity service that is meant, as `cli.session.run_with` says."""

    async def work(identity: RestIdentity) -> Any:
        return await identity.call(operation, request)

    return run_with(RestIdentity, work)


def listed(operation: str, request: msgspec.Struct, rows: Callable[[Any], tuple[T, ...]], limit: int) -> list[T]:
    """Up to `limit` rows of a list, page after page."""

    async def work(identity: RestIdentity) -> list[T]:
        return await _pages(identity.call, operation, request, rows, limit)

    return run_with(RestIdentity, work)


async def _pages(
    call: Callable[[str, msgspec.Struct], Awaitable[Any]],
    operation: str,
    request: msgspec.Struct,
    rows: Callable[[Any], tuple[T, ...]],
    limit: int,
) -> list[T]:
    found: list[T] = []
    after = ""
    while len(found) < limit:
        wanted = msgspec.structs.replace(request, after=after, limit=min(_PAGE, limit - len(found)))
        page = await call(operation, wanted)
        found += rows(page)
        after = page.next
        if not after:
            break
    return found
