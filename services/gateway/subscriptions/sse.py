"""Public events as server-sent events; their ids are positions in the stream, so `Last-Event-ID` resumes anywhere."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from libs.kit.bus.reading import Stored
from libs.kit.errors import ServiceError
from services.gateway.door import Door
from services.gateway.subscriptions.asking import read_wish
from services.gateway.subscriptions.feed import Feed, Gap, Wish
from services.gateway.subscriptions.speaking import NEEDED, SlowListenerError, Speaker

log = structlog.get_logger(__name__)

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_RETRY_MS: Final = 1_000


class SseDialect:
    """`id`, `data` and a blank line; whatever is no event of the platform has a name of its own."""

    def events(self, found: list[Stored]) -> str:
        """The CloudEvents, as they are stored."""
        return "".join(f"id: {each.sequence}\ndata: {each.payload.decode()}\n\n" for each in found)

    def beat(self, position: int) -> str:
        """Browsers dispatch nothing without data, but keep the id."""
        return f": alive\nid: {position}\nretry: {_RETRY_MS}\n\n"

    def gap(self, gap: Gap) -> str:
        """`event: gap`."""
        return f"event: gap\ndata: {msgspec.json.encode(gap._asdict()).decode()}\n\n"

    def error(self, error: ServiceError) -> str:
        """`event: error`."""
        said = msgspec.json.encode({"code": error.code, "message": error.message}).decode()
        return f"event: error\ndata: {said}\n\n"


class EventStream(Response):
    """The answer that goes on."""

    def __init__(
        self, feed: Feed, wish: Wish, may_listen: Callable[[], None], *, beat_s: float, stall_s: float
    ) -> None:
        """Prepare; nothing is read before it is sent."""
        super().__init__()
        self._feed = feed
        self._wish = wish
        self._may_listen = may_listen
        self._beat_s, self._stall_s = beat_s, stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it is over."""
        async with self._feed.listening(self._wish) as listener:
            gap = await listener.begin()
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            leaving = asyncio.create_task(_left(receive, listener.wake.set))
            speaker = Speaker(
                listener,
                SseDialect(),
                lambda text: send({"type": "http.response.body", "body": text.encode(), "more_body": True}),
                may_listen=self._may_listen,
                is_over=lambda: leaving.done() or self._feed.closed,
                beat_s=self._beat_s,
                stall_s=self._stall_s,
            )
            try:
                await speaker.speak(gap)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except SlowListenerError:
                log.info("a listener that takes nothing is cut off", tenant=self._wish.tenant)
                scope["state"]["abort"]()
            finally:
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)


async def _left(receive: Receive, tell: Callable[[], None]) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    tell()


def sse_handler(feed: Feed, door: Door, *, beat_s: float, stall_s: float) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint."""

    async def listen(request: Request) -> Response:
        """Public events of the key's project, as they happen; `Last-Event-ID` or `after` goes on where one was."""
        wish = read_wish(request, door.admit(request, NEEDED))

        def may_listen() -> None:
            door.admit(request, NEEDED)

        return EventStream(feed, wish, may_listen, beat_s=beat_s, stall_s=stall_s)

    return listen
