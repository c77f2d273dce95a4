"""Who is there: asked of a gateway, or on the bus of a local stack, where even a gateway may be away."""

import asyncio
import logging
from typing import Final

import structlog

from cli.rest import Offer, RestCaller, Wanted, at
from deploy.local.client import Stack
from deploy.local.ports import HOST
from deploy.local.state import StackState
from libs.contracts import subjects
from libs.contracts.discovery import OPERATIONS, SERVICES, InstanceState, ServiceList, ServiceState
from libs.kit.bus import BusClient, BusError, BusOptions
from libs.kit.roll_call import RollCall

_USER: Final = "provisioner"
_CONNECT_S: Final = 2.0
_TIMEOUT_S: Final = 10.0


class RestPresence(RestCaller):
    """A gateway's admin API, asked who is there; use it with `async with`."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key, _PRESENCE)


_PRESENCE: Final = Offer(
    name="bus",
    operations=OPERATIONS,
    routes={"service_list": lambda _: Wanted("GET", at("services"))},
    timeout_s=lambda _: _TIMEOUT_S,
)


def on_the_bus(stack: Stack, state: StackState) -> ServiceList | None:
    """Who answers on the bus of a local stack; None where the bus itself does not."""
    # What the connection has to say of itself belongs into no output of a command.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    options = BusOptions(
        host=HOST,
        port=state.ports.get("nats", 0),
        name="status",
        user=_USER,
        password=stack.home.secret(f"nats_{_USER}"),
        inbox_prefix=subjects.OPERATOR_INBOX,
        connect_timeout_s=_CONNECT_S,
    )
    return asyncio.run(_ask(options))


async def _ask(options: BusOptions) -> ServiceList | None:
    bus = BusClient(options)
    try:
        await bus.connect()
        return await RollCall(bus, subjects.OPERATOR_INBOX).call()
    except BusError:
        return None
    finally:
        await bus.close()


def service_of(part: str) -> str:
    """The service that a process of the local stack is of; empty for somebody else's program and for a task."""
    name = part.partition("-")[0]
    return name if name in SERVICES else ""


def instance_of(services: tuple[ServiceState, ...], part: str, pid: int) -> InstanceState | None:
    """What the process of a part has said of itself."""
    service = service_of(part)
    found = (one for each in services if each.name == service for one in each.instances)
    return next((one for one in found if one.pid == pid), None)


def condition(instance: InstanceState) -> str:
    """In a few words: ready, or what it lacks."""
    if instance.lacks:
        return f"lacks {', '.join(instance.lacks)}"
    if not instance.ready:
        return "does not say what it lacks"
    return f"ready; away: {', '.join(instance.degraded)}" if instance.degraded else "ready"


def is_well(instance: InstanceState) -> bool:
    """Whether it lacks nothing."""
    return instance.ready and not instance.degraded


def calls(instance: InstanceState) -> tuple[int, int, str]:
    """How many calls it has answered, how many of them with a fault, and one of the faults."""
    endpoints = instance.endpoints
    faults = sum(sum(one.errors.values()) for one in endpoints)
    last = next((f"{one.name}: {one.last_error}" for one in endpoints if one.last_error), "")
    return sum(one.requests for one in endpoints), faults, last
