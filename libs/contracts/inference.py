"""Messages of the request path: envelope, frames' metadata, beats, releases, and the completed event.

They are msgspec structures because they are on the hot path (pydantic costs about ten times as much per message).
Unknown fields are ignored on reading, so that an old reader survives a new writer.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

ENVELOPE_HEADER: Final = "Llmos-Envelope"
ATTEMPT_HEADER: Final = "Llmos-Attempt"
DIRECT_RENEWAL_S: Final = 1.0
DIRECT_LEASE_S: Final = 2.5
"""How often a scheduler says to which workers gateways may turn, and how long that holds."""
CONNECTION_NAME_PREFIX: Final = "inference."
"""A worker's connection to the bus is named this and its id, so that the server's news of its end can be understood."""


class ServiceClass(StrEnum):
    """How soon a request wants to run; the scheduler empties them in this order."""

    REALTIME = "realtime"
    STANDARD = "standard"
    BATCH = "batch"


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the platform knows of a request; travels as one header beside the client's unchanged body."""

    request_id: str
    """Made by the gateway; unique, 24 hex digits; never the client's own id."""
    reply: str
    """Subject for the frames."""
    route: str
    """The endpoint, for example `/v1/chat/completions`."""
    model: str
    """Name that a worker serves."""
    pool: str
    service_class: ServiceClass
    tenant: str
    start_by_ms: int
    """Unix time after which the request must not be started any more."""
    deadline_ms: int
    """Unix time after which it must not run any more."""
    submitted_ms: int
    """Unix time at which the gateway sent it."""
    retry: int = 0
    """How often the gateway has submitted it again."""
    stream: bool = False
    max_tokens: int = 0
    """The client's token limit; 0 when it set none."""
    cache_salt: str = ""
    """Keeps one tenant's prefix cache from another's."""
    traceparent: str = ""


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the engine spent on one execution."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = ""


class FrameMeta(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The JSON part of a frame; each field only with the flag that gives it a meaning."""

    worker: str = ""
    """ACCEPTED: instance id of the worker."""
    worker_name: str = ""
    """ACCEPTED: the name an operator gave it."""
    model_version: str = ""
    """ACCEPTED: `<name>@sha256:<12 hex>` of what answers, if the worker knows."""
    content_type: str = ""
    """HEAD: media type of the answer."""
    usage: Usage | None = None
    """LAST: what it cost, if the engine ran."""
    code: str = ""
    """ERROR: a code of `libs.contracts.errors`."""
    message: str = ""
    """ERROR: what happened and what to do, fit for the client."""
    param: str = ""
    """ERROR: the field at fault, if one is."""
    queue_ms: int = 0
    """ACCEPTED: milliseconds between submission and acceptance."""


class WorkerState(StrEnum):
    """Whether a worker may be given work."""

    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class ServedModel(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One name under which a worker answers."""

    name: str
    version: str = ""
    """`<name>@sha256:<12 hex>`."""
    adapter: bool = False
    max_model_len: int = 0
    """Tokens of prompt and answer together."""
    routes: tuple[str, ...] = ()
    """Endpoints that this model can answer."""
    owner: str = ""
    """The tenant whose keys alone may ask it; empty: everybody's."""


class Running(msgspec.Struct, frozen=True, array_like=True):
    """One execution that a worker has taken and not yet released."""

    request_id: str
    attempt: int


class WorkerBeat(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A worker says that it lives, what it serves and what it runs."""

    worker: str
    name: str
    pool: str
    state: WorkerState
    capacity: int
    """Executions it takes at the same time."""
    models: tuple[ServedModel, ...]
    engine: str
    """For people: engine and version, for example `vllm 0.32.0 (cpu)`."""
    running: tuple[Running, ...] = ()
    sequence: int = 0
    """Counts up by one per beat."""
    revision: int = 0
    """The newest of its pool's deployment that it has taken in: whatever it does not offer of it is in `missing`. 0 for
    a worker that was told its model by its settings."""
    missing: tuple[str, ...] = ()
    """References that this revision wants and that are not loaded, or not yet."""
    base: str = ""
    """Reference of the version its engine has loaded as base, if it came from the registry."""
    deployment_error: str = ""
    """Why something of the newest deployment could not be carried out; empty if nothing has failed."""


class Released(msgspec.Struct, frozen=True):
    """Executions that ended on `worker`; each gives one credit back."""

    worker: str
    ended: tuple[Running, ...]


class GatewayBeat(msgspec.Struct, frozen=True):
    """A gateway process says that it lives and still wants its answers."""

    gateway: str


class WorkerLost(msgspec.Struct, frozen=True):
    """A worker is dead; whoever owns a request there must act."""

    worker: str
    reason: str


class DirectWorkers(msgspec.Struct, frozen=True):
    """Workers of a pool to which gateways may hand requests themselves, in the opinion of one scheduler.

    It holds for `DIRECT_LEASE_S`. None are named while something waits: then the scheduler alone says whose turn it is.
    """

    scheduler: str
    pool: str
    workers: tuple[str, ...]


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True):
    """Calls a request off: every execution of it, or only `attempt`."""

    attempt: int | None = None
    by_operator: bool = False
    """Its client still waits for it, and is told `cancelled_by_operator`."""


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker's answer to `run`; to a gateway, which is told of acceptance by a frame, only a refusal."""

    accepted: bool
    reason: str = ""
    """Why not: `full`, `draining`, `unknown_model`, `invalid`."""
    also: tuple[str, ...] = ()
    """Tokens of other offers of the same scheduler that this answers, too."""


class RequestCompleted(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One request ended, well or not. Said by the gateway, which alone knows what the client received."""

    id: str
    """Event id; readers discard repeats by it."""
    time_ms: int
    """Unix time of the end."""
    request_id: str
    client_request_id: str
    """`x-request-id` as the client sees it."""
    tenant: str
    key_id: str
    route: str
    model: str
    outcome: Literal["ok", "error", "cancelled"]
    status: int
    """HTTP status that the client received; 0 if none was sent."""
    model_version: str = ""
    worker: str = ""
    error_code: str = ""
    stream: bool = False
    service_class: ServiceClass = ServiceClass.STANDARD
    retries: int = 0
    usage: Usage | None = None
    queue_ms: int = 0
    first_byte_ms: int = 0
    """From arrival to the first body byte for the client; 0 if none was sent."""
    total_ms: int = 0
    response_bytes: int = 0
    episode_id: str = ""
    """The client's `x-llmos-episode`: what belongs together, for example one conversation."""
    user: str = ""
    """The body's `user`, if the client names one."""
