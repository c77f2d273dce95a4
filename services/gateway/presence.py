"""Who is there beside this gateway: what its own work stands on, and the whole list for whoever looks after it."""

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from libs.contracts.discovery import SERVICES
from libs.kit.answering import Operation
from libs.kit.bus import BusClient
from libs.kit.health import Health
from libs.kit.roll_call import RollCall
from services.gateway.fleet import Fleet
from services.gateway.keys import KeyFollower
from services.gateway.watch import Watch

_PATIENCE_S: Final = 1.0
"""Whoever asks whether this gateway is ready will not wait long."""
_SEEN_OTHERWISE: Final = ("gateway", "inference")
"""Workers are known by their beats."""


def health_of(bus: BusClient, fleet: Fleet, watch: Watch, keys: KeyFollower | None, roll_call: RollCall) -> Health:
    """What answers to clients stand on; a service behind them may be away without stopping these.

    A scheduler may be, too: requests wait in the stream for the next one, and if every gateway called itself unready
    for the moment between, nobody would take them.
    """
    health = Health(patience_s=_PATIENCE_S)
    health.see("nats", lambda: bus.connected)
    health.see("worker", lambda: fleet.has_ready_worker)
    health.see("accepting", lambda: not watch.draining)
    if keys is not None:
        health.see("keys", lambda: keys.is_read)
    for service in SERVICES:
        if service not in _SEEN_OTHERWISE:
            health.ask(service, functools.partial(roll_call.find, service), needed=False)
    return health


class Presence:
    """Who is there, asked as a service is."""

    def __init__(self, roll_call: RollCall) -> None:
        self._operations: Mapping[str, Operation] = {"service_list": lambda _: roll_call.call()}

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The result of `operation`.

        Raises:
            ServiceError: `bus_unavailable`.
        """
        return await self._operations[operation](request)
