"""One HTTP request and what the client has received for it so far."""

from collections.abc import Callable
from typing import Literal, Protocol

from libs.contracts.inference import ServiceClass
from libs.contracts.requests import RouteContract
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.telemetry.tracing import Span
from services.gateway.capture import Capture
from services.gateway.dialects import Dialect, dialect_of
from services.gateway.division import Division
from services.gateway.identity import Principal
from services.gateway.limits.book import Reservation
from services.gateway.limits.holders import Holder


class Connection(Protocol):
    """The client's connection, as far as a request may touch it."""

    @property
    def gone(self) -> bool:
        """Whether it is lost."""

    @property
    def blocked(self) -> bool:
        """Whether the client takes nothing just now."""

    def watch(self, on_lost: Callable[[], None] | None) -> None:
        """Call `on_lost` once when the connection is lost; None ends that."""

    def abort(self) -> None:
        """Drop it at once, with whatever waits to be sent."""

    def begin(self, status: int, lines: bytes, *, whole: bool) -> None:
        """Fix status and header lines, which leave with the first bytes; a `whole` answer names its own length."""

    def write(self, body: bytes, *, more: bool) -> None:
        """Send bytes of the answer; without `more` it is complete."""

    async def drained(self) -> None:
        """Wait until the client takes bytes again, or is gone."""


class Exchange:
    """The client's side of a request; kept until it is announced as completed."""

    __slots__ = (
        "arrived_s",
        "capture",
        "client_request_id",
        "connection",
        "dialect",
        "division",
        "episode_id",
        "error_code",
        "first_byte_s",
        "limited",
        "model",
        "outcome",
        "principal",
        "request_id",
        "reservation",
        "response_bytes",
        "route",
        "sending_since_s",
        "service_class",
        "span",
        "status",
        "stream",
        "user",
        "work_began",
    )

    def __init__(self, route: RouteContract, connection: Connection) -> None:
        """Begin with the arrival of the request's headers."""
        self.connection = connection
        self.arrived_s = clock.monotonic_s()
        self.route = route
        self.dialect: Dialect = dialect_of(route.dialect, route.path)
        self.request_id = clock.new_request_id()
        """The platform's own; unguessable, because it names the reply subject."""
        self.client_request_id = self.request_id
        """What the client sees: its own `x-request-id`, else ours."""
        self.principal: Principal | None = None
        self.limited: tuple[Holder, ...] = ()
        """Who of its project and key has limits."""
        self.reservation: Reservation | None = None
        """What it has taken of them until it ends."""
        self.span: Span | None = None
        """What is recorded of it, if anything is."""
        self.model = ""
        self.episode_id = ""
        """What the client says belongs together, for example one conversation."""
        self.user = ""
        self.capture: Capture | None = None
        """Keeps the text, where the operator wants it kept or another version's answer is compared with it."""
        self.division: Division | None = None
        """How a running split took it, if one did."""
        self.stream = False
        self.service_class = ServiceClass.STANDARD
        self.status = 0
        """HTTP status sent to the client; 0 while none is."""
        self.first_byte_s = 0.0
        self.response_bytes = 0
        self.sending_since_s = 0.0
        """When the send that is in progress began; 0 while none is."""
        self.outcome: Literal["ok", "error", "cancelled"] = "ok"
        self.error_code = ""
        self.work_began = False
        """Whether an engine has taken it at least once, so that a client's own retry would repeat work."""

    @property
    def started(self) -> bool:
        """Whether the client has seen anything of the answer."""
        return self.status != 0

    def failed(self, error: ServiceError) -> None:
        """Remember how it ended."""
        self.outcome = "error"
        self.error_code = error.spec.code

    def cancelled(self) -> None:
        """The client went away, or was cut off."""
        self.outcome = "cancelled"
        self.error_code = "client_closed_request"
