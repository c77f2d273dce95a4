"""Follows public events, and goes on where it was when the connection is lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, NamedTuple

import httpx2
import msgspec

from cli import show, ui
from cli.rest import client, failure, root_of
from libs.contracts.public_events import CloudEvent
from libs.kit.errors import ServiceError

_SILENCE_S: Final = 60.0
"""A gateway gives signs of life much more often."""
_PAUSE_S: Final = 1.0


class Heard(NamedTuple):
    """One block of the stream."""

    position: str
    name: str
    """Empty: an event of the platform."""
    data: str


async def follow(url: str, key: str, query: dict[str, Any], *, limit: int, as_json: bool) -> None:
    """Print events as they come, `limit` of them or for ever.

    Raises:
        ServiceError: the gateway refuses.
    """
    count = 0
    # Closed here: a generator that is left alone is closed by nobody while its connection still is.
    async with client(root_of(url), key) as http, aclosing(_without_end(http, query)) as events:
        async for heard in events:
            if heard.name:
                ui.err.print(f"  {heard.name}: {show.plain(heard.data)}")
                continue
            _print(heard.data, as_json=as_json)
            count += 1
            if count == limit:
                return


async def _without_end(http: httpx2.AsyncClient, query: dict[str, Any]) -> AsyncGenerator[Heard, None]:
    position = ""
    while True:
        try:
            async with aclosing(_blocks(http, query, position)) as blocks:
                async for heard in blocks:
                    position = heard.position or position
                    if heard.data:
                        yield heard
        except httpx2.HTTPError as error:
            ui.err.print(f"  [dim]The connection is lost ({show.plain(type(error).__name__)}); going on…[/dim]")
        await asyncio.sleep(_PAUSE_S)


async def _blocks(http: httpx2.AsyncClient, query: dict[str, Any], position: str) -> AsyncGenerator[Heard, None]:
    headers = {"last-event-id": position} if position else {}
    timeout = httpx2.Timeout(10, read=_SILENCE_S)
    async with http.stream("GET", "/v1/events", params=query, headers=headers, timeout=timeout) as answer:
        if not answer.is_success:
            await answer.aread()
            raise failure(answer)
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                yield Heard(fields.get("id", ""), fields.get("event", ""), fields.get("data", ""))
                fields = {}


def _print(data: str, *, as_json: bool) -> None:
    if as_json:
        print(data, flush=True)
        return
    event = msgspec.json.decode(data, type=CloudEvent)
    told = bytes(event.data).decode()
    local = datetime.fromisoformat(event.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    ui.say(f"  [dim]{local}[/dim] {show.plain(event.type)} {show.plain(event.tenant)} {show.short(told, 200)}")


__all__ = ["ServiceError", "follow"]
