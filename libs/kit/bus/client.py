"""The connection: publish, subscribe, request, and reconnect for ever."""

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import structlog

from libs.kit import clock
from libs.kit.bus.errors import (
    BusOverloadedError,
    BusPayloadError,
    BusRefusedError,
    BusTimeoutError,
    BusUnavailableError,
)
from libs.kit.bus.headers import status_of
from libs.kit.bus.options import BusOptions
from libs.kit.bus.outgoing import Outgoing
from libs.kit.bus.parser import Message, Parser, ProtocolError
from libs.kit.waiting import set_within

log = structlog.get_logger(__name__)

Handler = Callable[[Message], None]
NO_RESPONDERS: Final = 503
_DEFAULT_MAX_PAYLOAD_BYTES: Final = 1 << 20
_REFUSED: Final = "Authorization Violation"
"""What the server says to a user whom it does not know by this password."""
_PING: Final = b"PING\r\n"
_CRLF: Final = b"\r\n"


class BusClient(asyncio.Protocol):
    """One connection to NATS.

    Handlers are plain functions called from the event loop, in order; they must not block. Publishing is synchronous:
    bytes leave at the end of the loop tick, or after the next reconnect.
    """

    def __init__(self, options: BusOptions, *, on_state: Callable[[bool], None] | None = None) -> None:
        """Prepare; `on_state` hears True after each (re)connect and False after each loss."""
        self._options = options
        self._on_state = on_state
        self._transport: asyncio.Transport | None = None
        self._parser = Parser(self._deliver, self._operate)
        self._outgoing = Outgoing()
        self._subscriptions: dict[int, tuple[str, str, Handler]] = {}
        self._next_sid = 0
        self._pongs: deque[asyncio.Future[None] | None] = deque()
        """Who waits for the next pongs, in order; None for the keeper's own pings."""
        self._missed_pongs = 0
        self._greeted = False
        """Whether this connection's server has been told the subscriptions."""
        self._ready: asyncio.Future[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self.connected = False
        self.reconnects = 0
        self.last_error = ""
        self.max_payload_bytes = _DEFAULT_MAX_PAYLOAD_BYTES

    async def connect(self) -> None:
        """Connect once; from then on the connection is kept until `close`.

        Raises:
            BusUnavailableError: the server cannot be reached.
            BusRefusedError: it does not take the credentials.
        """
        await self._open()
        self._keeper = asyncio.create_task(self._keep(), name="bus-keeper")

    async def connect_when_possible(self) -> None:
        """Keep trying in the background until the server answers; returns at once."""
        self._lost.set()
        self._keeper = asyncio.create_task(self._keep(), name="bus-keeper")

    def publish(self, subject: str, payload: bytes = b"", *, reply: str = "", headers: bytes = b"") -> None:
        """Send a message at the end of this tick.

        Raises:
            BusPayloadError: larger than the server takes.
            BusOverloadedError: too much is waiting already.
        """
        total = len(headers) + len(payload)
        self._check(subject, total)
        if headers:
            line = f"HPUB {subject} {reply} {len(headers)} {total}\r\n".encode()
            self._outgoing.add(total + len(line) + 2, line, headers, payload, _CRLF)
        else:
            line = f"PUB {subject} {reply} {total}\r\n".encode()
            self._outgoing.add(total + len(line) + 2, line, payload, _CRLF)

    def publish_parts(self, subject: str, size: int, parts: Sequence[bytes]) -> None:
        """Send a message of `parts`, `size` bytes together, at the end of this tick, without joining them first.

        Raises:
            BusPayloadError: larger than the server takes.
            BusOverloadedError: too much is waiting already.
        """
        self._check(subject, size)
        line = f"PUB {subject} {size}\r\n".encode()
        self._outgoing.add(size + len(line) + 2, line, *parts, _CRLF)

    def publish_to_each(self, subjects: Iterable[str], payload: bytes) -> None:
        """Send the same to many subjects, at the cost of little more than one message.

        Raises:
            BusOverloadedError: too much is waiting already.
        """
        if self._outgoing.waiting_bytes > self._options.max_pending_bytes:
            raise BusOverloadedError(f"{self._outgoing.waiting_bytes} bytes wait already")
        after = f"  {len(payload)}\r\n{payload.decode()}\r\n"
        data = "".join([f"PUB {subject}{after}" for subject in subjects])
        if data:
            self._say(data.encode())

    def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> int:
        """Call `handler` for each message on `subject`; survives reconnects. Returns the id for `unsubscribe`."""
        self._next_sid += 1
        sid = self._next_sid
        self._subscriptions[sid] = (subject, queue, handler)
        if self._greeted:
            self._say(f"SUB {subject} {queue} {sid}\r\n".encode())
        return sid

    def unsubscribe(self, sid: int) -> None:
        """Stop a subscription; unknown ids are ignored."""
        if self._subscriptions.pop(sid, None) is not None and self._greeted:
            self._say(f"UNSUB {sid}\r\n".encode())

    async def retire(self, sid: int) -> None:
        """Stop a subscription, but handle everything that the server had sent for it already."""
        if self._greeted:
            self._say(f"UNSUB {sid}\r\n".encode())
            with contextlib.suppress(BusUnavailableError, BusTimeoutError):
                await self.flush()
        self._subscriptions.pop(sid, None)

    async def request(self, subject: str, payload: bytes = b"", *, headers: bytes = b"", timeout_s: float) -> Message:
        """Publish and wait for one answer.

        Raises:
            BusUnavailableError: nobody listens.
            BusTimeoutError: no answer within `timeout_s`.
        """
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        inbox = f"{self._options.inbox_prefix}.{clock.new_request_id()}"
        sid = self.subscribe(inbox, lambda message: None if answer.done() else answer.set_result(message))
        try:
            self.publish(subject, payload, reply=inbox, headers=headers)
            async with asyncio.timeout(timeout_s):
                message = await answer
        except TimeoutError as error:
            raise BusTimeoutError(f"no answer on {subject} within {timeout_s} s") from error
        finally:
            self.unsubscribe(sid)
        if status_of(message.headers) == NO_RESPONDERS and not message.payload:
            raise BusUnavailableError(f"nobody listens on {subject}")
        return message

    async def flush(self, timeout_s: float = 5.0) -> None:
        """Wait until the server has seen everything published so far.

        Raises:
            BusUnavailableError: the connection was lost meanwhile.
            BusTimeoutError: no answer within `timeout_s`.
        """
        if not self.connected:
            raise BusUnavailableError(self.last_error or "not connected")
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._say(_PING)
        try:
            async with asyncio.timeout(timeout_s):
                await pong
        except TimeoutError as error:
            raise BusTimeoutError(f"no pong within {timeout_s} s") from error

    def write_now(self) -> None:
        """Hand what was published to the kernel at once; for what must be on its way before the next step is taken."""
        self._outgoing.write_now()

    async def close(self) -> None:
        """Send what waits, for as long as a connection attempt may take, then end the connection for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._transport is not None and self.connected:
            self._outgoing.write_now()
            self._transport.close()
            await set_within(self._lost, self._options.connect_timeout_s)
        if self._transport is not None:
            # Not waited for: of a connection cancelled while it was made, uvloop never says that it is lost.
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport; the server speaks first."""
        # A cast, because uvloop's transports have the methods but not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = Parser(self._deliver, self._operate)

    def data_received(self, data: bytes) -> None:
        """Parse and deliver; a peer that does not speak NATS is cut off."""
        try:
            self._parser.feed(data)
        except ProtocolError as error:
            self.last_error = str(error)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waited for this connection and wake the keeper."""
        was_connected, self.connected, self._transport = self.connected, False, None
        self._greeted = False
        # A ping of the old connection would be answered on the new one, to somebody who waits for a later ping.
        self._outgoing.close(drop=_PING)
        reason = BusUnavailableError(self.last_error or str(exc or "connection closed"))
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(reason)
        for pong in self._pongs:
            if pong is not None and not pong.done():
                pong.set_exception(reason)
        self._pongs.clear()
        self._lost.set()
        if was_connected and self._on_state is not None:
            self._on_state(False)

    def pause_writing(self) -> None:
        """The server is slow: hold back."""
        self._outgoing.pause()

    def resume_writing(self) -> None:
        """The server caught up: send what was held."""
        self._outgoing.resume()

    # internals

    def _check(self, subject: str, size: int) -> None:
        if size > self.max_payload_bytes:
            raise BusPayloadError(f"{size} bytes for {subject}; the server takes {self.max_payload_bytes}")
        if self._outgoing.waiting_bytes + size > self._options.max_pending_bytes:
            raise BusOverloadedError(f"{self._outgoing.waiting_bytes} bytes wait already")

    def _say(self, operation: bytes) -> None:
        self._outgoing.add(len(operation), operation)

    def _deliver(self, sid: int, message: Message) -> None:
        subscription = self._subscriptions.get(sid)
        if subscription is None:
            return
        try:
            subscription[2](message)
        except Exception:
            # One faulty message must not take the connection, and with it every other request, down.
            log.exception("bus handler failed", subject=message.subject)

    def _operate(self, line: bytes) -> None:
        if line.startswith(b"PING"):
            if self._transport is not None:
                self._transport.write(b"PONG\r\n")
        elif line.startswith(b"PONG"):
            self._pong()
        elif line.startswith(b"INFO"):
            self._info(json.loads(line[5:]))
        elif line.startswith(b"-ERR"):
            self.last_error = line[5:].decode(errors="replace").strip("'")
            log.error("bus server error", error=self.last_error, name=self._options.name)

    def _pong(self) -> None:
        self._missed_pongs = 0
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        elif self._pongs:
            pong = self._pongs.popleft()
            if pong is not None and not pong.done():
                pong.set_result(None)

    def _info(self, info: dict[str, Any]) -> None:
        self.max_payload_bytes = int(info.get("max_payload", self.max_payload_bytes))
        if self._ready is None or self._ready.done() or self._transport is None:
            return
        hello = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "echo": True,
            "protocol": 1,
            "lang": "python",
            "version": "llmos",
            "name": self._options.name,
        }
        if self._options.user:
            hello |= {"user": self._options.user, "pass": self._options.password}
        subs = "".join(f"SUB {subject} {queue} {sid}\r\n" for sid, (subject, queue, _) in self._subscriptions.items())
        self._greeted = True
        self._transport.write(f"CONNECT {json.dumps(hello)}\r\n{subs}PING\r\n".encode())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._lost.clear()
        address = f"{self._options.host}:{self._options.port}"
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                options = self._options
                await loop.create_connection(lambda: self, options.host, options.port, ssl=options.encryption)
                await self._ready
        except (OSError, TimeoutError, BusUnavailableError) as error:
            if self._transport is not None:
                self._transport.abort()
            self._lost.set()
            self.last_error = str(error) or "timed out"
            failure = BusRefusedError if _REFUSED in self.last_error else BusUnavailableError
            raise failure(f"NATS at {address}: {self.last_error}") from error
        if self._transport is None:
            raise BusUnavailableError(f"NATS at {address}: the connection ended during the greeting")
        self.connected, self.last_error, self._missed_pongs = True, "", 0
        self._outgoing.open(self._transport)
        if self._on_state is not None:
            self._on_state(True)

    async def _keep(self) -> None:
        """Ping while connected; reconnect with growing, jittered pauses while not."""
        pause_s = self._options.reconnect_min_s
        while True:
            if not self.connected:
                try:
                    await self._open()
                except BusUnavailableError:
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                    pause_s = min(pause_s * 2, self._options.reconnect_max_s)
                    continue
                self.reconnects += 1
                pause_s = self._options.reconnect_min_s
            if not await set_within(self._lost, self._options.ping_interval_s):
                self._ping()

    def _ping(self) -> None:
        self._missed_pongs += 1
        if self._missed_pongs > self._options.max_missed_pongs and self._transport is not None:
            self.last_error = "server stopped answering pings"
            self._transport.abort()
        else:
            self._pongs.append(None)
            self._say(_PING)
