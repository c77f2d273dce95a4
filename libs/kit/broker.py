"""A FastStream broker as our services want it, and patience while what they stand on is starting too."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from faststream.exceptions import IncorrectState
from faststream.nats import NatsBroker
from faststream.nats.security import NatsUserPassword
from nats.errors import Error as NatsError

from libs.kit import clock
from libs.kit.bus import BusError
from libs.kit.errors import ServiceError
from libs.kit.settings import NatsSettings

log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.2
_RECONNECT_S: Final = 0.2


def make_broker(settings: NatsSettings, *, service: str, instance: str) -> NatsBroker:
    """A broker that reconnects for ever and leaves the log to us; not connected yet."""
    # Of its own it says little that is news: every call, and at shutdown every task.
    logger = logging.getLogger(f"faststream.{service}")
    logger.setLevel(logging.WARNING)
    return NatsBroker(
        f"nats://{settings.host}:{settings.port}",
        security=_security(settings),
        name=f"{service}.{instance}",
        connect_timeout=5,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type] # seconds; fractions work
        logger=logger,
        log_level=logging.DEBUG,
        graceful_timeout=15.0,
    )


def _security(settings: NatsSettings) -> NatsUserPassword:
    encryption = settings.encryption()
    return NatsUserPassword(
        settings.user, settings.secret(), ssl_context=encryption, tls_handshake_first=encryption is not None
    )


def is_connected(broker: NatsBroker) -> bool:
    """Whether its connection stands at the moment."""
    try:
        return broker.connection.is_connected
    except IncorrectState:
        return False


async def stop_broker(broker: NatsBroker) -> None:
    """Finish the calls that run and disconnect; without a connection there is nobody left to answer."""
    try:
        await broker.stop()
    except NatsError as error:
        log.warning("bus was away at shutdown", reason=str(error) or type(error).__name__)


async def insist(attempt: Callable[[], Awaitable[None]], deadline_s: float) -> None:
    """Do it again until it works, or raise what kept it from working when `clock.monotonic_s()` passes `deadline_s`."""
    while True:
        try:
            return await attempt()
        except (ServiceError, BusError, NatsError, OSError) as error:
            if clock.monotonic_s() >= deadline_s:
                raise
            log.warning("not ready yet", reason=str(error) or type(error).__name__)
        await asyncio.sleep(_RETRY_S)
