"""uvicorn as this gateway runs it: with connections that answer the hot paths themselves."""

import socket
from functools import partial
from types import FrameType
from typing import Final

import uvicorn

from libs.kit import clock
from libs.kit.watchdog import watched
from services.gateway.app import Gateway
from services.gateway.connection import KEEP_ALIVE_S, ClientConnection
from services.gateway.settings import Settings

_BACKSTOP_S: Final = 5.0
_MAX_FRAME_BYTES: Final = 4_096
_TICKS_PER_LOOK: Final = 50
"""Of uvicorn's tenths of a second, between two looks for idle connections."""


def listen(settings: Settings) -> socket.socket:
    """The gateway's address, taken; nobody can connect before the server begins.

    Raises:
        OSError: somebody else has it, or it is none of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """Stops in order: from the signal on new requests are refused, running ones are finished."""

    def __init__(self, gateway: Gateway) -> None:
        """Serve `gateway` where its settings say."""
        self._gateway = gateway
        settings = gateway.settings
        super().__init__(
            uvicorn.Config(
                gateway,
                host=settings.host,
                port=settings.port,
                loop="uvloop",
                http=partial(ClientConnection, gateway.endpoint.serve),  # type: ignore[arg-type] # as good as a class
                ws="websockets-sansio",
                # Listeners say nothing.
                ws_max_size=_MAX_FRAME_BYTES,
                ws_per_message_deflate=False,
                lifespan="on",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                log_config=None,
                # What outlives the drain is ended by the gateway, with a proper error; this is for what does not heed.
                timeout_graceful_shutdown=int(settings.drain_timeout_s + _BACKSTOP_S),
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The process is asked to stop."""
        self._gateway.begin_drain()
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        """Serve until told to stop, or until the loop hangs."""
        with watched(self._gateway.settings.watchdog.hang_limit_s):
            await super().main_loop()

    async def on_tick(self, counter: int) -> bool:
        """The tenth of a second of uvicorn: now and then, close the connections that nobody uses."""
        if counter % _TICKS_PER_LOOK == 0:
            since_s = clock.monotonic_s() - KEEP_ALIVE_S
            for connection in list(self.server_state.connections):
                if isinstance(connection, ClientConnection):
                    connection.close_if_idle(since_s)
        return await super().on_tick(counter)
