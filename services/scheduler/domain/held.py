"""What the scheduler holds of one request."""

from dataclasses import dataclass

from libs.contracts.frames import make_attempt
from libs.contracts.inference import Envelope


@dataclass(slots=True, eq=False, kw_only=True)
class Held:
    """One request between its pull from the stream and its settlement.

    The envelope carries tenant and token limit, so a token-fair order needs nothing more than what is here.
    """

    envelope: Envelope
    raw_envelope: bytes
    """The envelope as the gateway wrote it; forwarded, never encoded again."""
    body: bytes
    ack_subject: str
    """Settles the stream message; empty for a request that came past the stream."""
    delivery: int
    """JetStream's count, 0 past the stream: with it executions ordered by two schedulers have different numbers."""
    arrival: int = 0
    """Breaks ties of age; given by the queue on the first push and kept, so that a return finds the old place."""
    doubtful: int = 0
    """Executions that may have started although no worker said so."""
    cancelled: bool = False
    """Called off while a worker was being asked."""
    by_operator: bool = False
    """Called off by somebody else than its client, who still waits and is told."""
    settled: bool = False
    """The stream message is acknowledged: somebody else owns the request, or it is over."""

    @property
    def express(self) -> bool:
        """Whether nothing but this process and the gateway has it: it may be offered, but not wait here."""
        return not self.ack_subject

    @property
    def request_id(self) -> str:
        """The gateway's id of the request."""
        return self.envelope.request_id

    @property
    def attempt(self) -> int:
        """The number of the next execution; it changes when an earlier one may have started."""
        return make_attempt(self.envelope.retry, self.delivery, self.doubtful + 1)
