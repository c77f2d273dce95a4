"""Who is there: how every process answers the NATS service protocol (ADR-32), and what a gateway tells of it.

Questions go to `subjects.discovery(...)` and carry nothing; each process that the subject means answers with one of
`PingAnswer`, `InfoAnswer` and `StatsAnswer`. Their field names are those of the protocol, as are nanoseconds.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec

from libs.contracts import subjects

SERVICES: Final = (
    "gateway",
    "scheduler",
    "inference",
    "registry",
    "feedback",
    "trainer",
    "rollout",
    "identity",
    "events",
    "audit",
)
"""Every kind of process that answers, by the name of its bus user."""


class Verb(StrEnum):
    """What can be asked."""

    PING = "PING"
    INFO = "INFO"
    STATS = "STATS"


def heard_by(service: str, instance: str) -> tuple[str, ...]:
    """Where one process of `service` is asked.

    Each is spelled out: who may listen on `$SRV.*` may listen on `$SRV.>`, too, as nats-server understands it.
    """
    addresses = ((), (service,), (service, instance))
    return tuple(subjects.discovery(verb, *address) for verb in Verb for address in addresses)


class EndpointInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One subject on which a process is asked to do something."""

    name: str
    subject: str
    queue_group: str
    metadata: dict[str, str] = {}


class EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of the calls of one endpoint since the process started."""

    name: str
    subject: str
    queue_group: str
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    """A code of ours, with its reason where the fault was the service's own and not its caller's."""
    processing_time: int = 0
    """Nanoseconds, over all calls."""
    average_processing_time: int = 0
    data: dict[str, Any] = {}
    """`errors`: how many there were of each code."""


class PingAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="io.nats.micro.v1.ping_response"):
    """A process says that it is there; it looks at nothing for that."""

    name: str
    id: str
    version: str
    metadata: dict[str, str] = {}
    """`pid`: its process id; `depends`: what it stands on."""


class InfoAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="io.nats.micro.v1.info_response"):
    """A process says what it is, what it lacks, and what it can be asked."""

    name: str
    id: str
    version: str
    description: str = ""
    metadata: dict[str, str] = {}
    """As in `StatsAnswer`."""
    endpoints: tuple[EndpointInfo, ...] = ()


class StatsAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="io.nats.micro.v1.stats_response"):
    """A process says what it lacks, and what has come of the calls that it answered."""

    name: str
    id: str
    version: str
    started: str
    """When it started, RFC 3339 in UTC."""
    metadata: dict[str, str] = {}
    """As in `PingAnswer`, and `lacks`: what is missing that it cannot work without; `degraded`: what else is missing.
    Names are joined by commas."""
    endpoints: tuple[EndpointStats, ...] = ()


Answer = PingAnswer | InfoAnswer | StatsAnswer


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of the calls of one endpoint since its process started."""

    name: str
    requests: int
    errors: dict[str, int]
    """How many there were of each code."""
    last_error: str
    busy_ms: int
    """Time spent on all of them."""


class InstanceState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process that answers."""

    id: str
    version: str
    pid: int = 0
    """On its own machine, or in its own container."""
    started_ms: int = 0
    """Unix time; 0 where it said no more than that it is there."""
    ready: bool = False
    lacks: tuple[str, ...] = ()
    """What is missing that it cannot work without."""
    degraded: tuple[str, ...] = ()
    """What is missing that it needs for some of its work."""
    depends: tuple[str, ...] = ()
    endpoints: tuple[EndpointState, ...] = ()


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of process, and every one of it that answers."""

    name: str
    instances: tuple[InstanceState, ...]
    """By id; none: nobody answers."""


class ListServices(msgspec.Struct, frozen=True):
    """Ask who is there."""


class ServiceList(msgspec.Struct, frozen=True):
    """Every kind of process that belongs to an installation."""

    services: tuple[ServiceState, ...]


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "service_list": (ListServices, ServiceList),
}
"""What a gateway answers itself, for its admin API."""
