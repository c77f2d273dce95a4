"""Public events by WebSocket: each text frame is one JSON object, with the position at which one would go on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from fastapi import Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from libs.kit.bus.reading import Stored
from libs.kit.errors import ServiceError
from services.gateway.door import Door
from services.gateway.subscriptions.asking import read_wish
from services.gateway.subscriptions.feed import Feed, Gap, Listener
from services.gateway.subscriptions.speaking import NEEDED, SlowListenerError, Speaker

log = structlog.get_logger(__name__)

_GOING_AWAY: Final = 1001
_POLICY: Final = 1008


class SocketDialect:
    """`{"position", "event"}`, and objects of other names for what is no event."""

    def events(self, found: list[Stored]) -> str:
        """The CloudEvents, one frame each."""
        return "\n".join(f'{{"position":{each.sequence},"event":{each.payload.decode()}}}' for each in found)

    def beat(self, position: int) -> str:
        """Only the position."""
        return f'{{"position":{position}}}'

    def gap(self, gap: Gap) -> str:
        """`{"gap": …}`."""
        return msgspec.json.encode({"gap": gap._asdict()}).decode()

    def error(self, error: ServiceError) -> str:
        """`{"error": …}`."""
        return msgspec.json.encode({"error": {"code": error.code, "message": error.message}}).decode()


class Sockets:
    """Serves listeners by WebSocket."""

    def __init__(
        self,
        feed: Feed,
        door: Door,
        render: Callable[[WebSocket, ServiceError], Response],
        *,
        beat_s: float,
        stall_s: float,
    ) -> None:
        """Prepare; `render` makes the answer to one that is not let in."""
        self._feed = feed
        self._door = door
        self._render = render
        self._beat_s, self._stall_s = beat_s, stall_s

    async def serve(self, socket: WebSocket) -> None:
        """Speak until it is over; whoever is not let in gets an HTTP answer instead."""
        try:
            wish = read_wish(socket, self._door.admit(socket, NEEDED))
            async with self._feed.listening(wish) as listener:
                gap = await listener.begin()
                await socket.accept()
                await self._converse(socket, listener, gap)
        except ServiceError as error:
            await socket.send_denial_response(self._render(socket, error))

    async def _converse(self, socket: WebSocket, listener: Listener, gap: Gap | None) -> None:
        leaving = asyncio.create_task(_left(socket, listener.wake.set))
        may_not = False

        def may_listen() -> None:
            nonlocal may_not
            may_not = True
            self._door.admit(socket, NEEDED)
            may_not = False

        speaker = Speaker(
            listener,
            SocketDialect(),
            _frames(socket),
            may_listen=may_listen,
            is_over=lambda: leaving.done() or self._feed.closed,
            beat_s=self._beat_s,
            stall_s=self._stall_s,
        )
        try:
            await speaker.speak(gap)
            if not leaving.done():
                await socket.close(_POLICY if may_not else _GOING_AWAY)
        except SlowListenerError:
            log.info("a listener that takes nothing is cut off")
            socket.state.abort()
        except WebSocketDisconnect:
            # It left while it was spoken to.
            pass
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)


def _frames(socket: WebSocket) -> Callable[[str], Awaitable[None]]:
    async def write(text: str) -> None:
        for frame in text.split("\n"):
            await socket.send_text(frame)

    return write


async def _left(socket: WebSocket, tell: Callable[[], None]) -> None:
    """Return when the client has left; what it says is not heard."""
    try:
        while True:
            await socket.receive()
    except (RuntimeError, WebSocketDisconnect):
        # Starlette's way to say that nothing more can come.
        pass
    finally:
        tell()
