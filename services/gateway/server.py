"""uvicorn as this gateway runs it: plain ASGI in, and a handle on each client's connection."""

import asyncio
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.app import Gateway
from services.gateway.endpoint import CONNECTION

_BACKSTOP_S: Final = 5.0
_KEEP_ALIVE_S: Final = 75


class OneWritePerTick(asyncio.Transport):
    """A transport that sends everything written in one loop tick with one system call.

    The server writes head and body of an answer one by one, and each system call costs several times a decoding.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Write to `transport`."""
        super().__init__()
        self._inner = transport
        self._parts: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon
        self.is_closing = transport.is_closing  # type: ignore[method-assign] # delegation without a call in between
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign] # as above
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign] # as above
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign] # as above
        self.abort = transport.abort  # type: ignore[method-assign] # as above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it at the end of this tick."""
        if not self._parts:
            self._call_soon(self._flush)
        self._parts.append(bytes(data))

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        parts = self._parts
        if parts:
            self._parts = []
            if not self.is_closing():
                self._inner.write(parts[0] if len(parts) == 1 else b"".join(parts))


class ClientConnection(HttpToolsProtocol):
    """One client's connection; a request may watch it and drop it.

    ASGI offers only `receive` for that, which costs a task per request, and no way at all to drop a connection whose
    client does not read.
    """

    gone = False
    _on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class
        """Collect what is written."""
        super().connection_made(OneWritePerTick(transport))

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """Call `on_lost` once when the connection is lost, at once if it is; None ends that."""
        self._on_lost = on_lost
        if self.gone and on_lost is not None:
            on_lost()

    def abort(self) -> None:
        """Drop it at once, with whatever waits to be sent."""
        self.transport.abort()

    def on_message_begin(self) -> None:
        """Put this connection where the request finds it."""
        super().on_message_begin()
        self.scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key] # an extension of ours

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered."""
        self.gone = True
        super().connection_lost(exc)
        if self._on_lost is not None:
            self._on_lost()


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
                http=ClientConnection,
                ws="none",
                lifespan="on",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                log_config=None,
                timeout_keep_alive=_KEEP_ALIVE_S,
                # What outlives the drain is ended by the gateway, with a proper error; this is for what does not heed.
                timeout_graceful_shutdown=int(settings.drain_timeout_s + _BACKSTOP_S),
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The process is asked to stop."""
        self._gateway.begin_drain()
        super().handle_exit(sig, frame)
