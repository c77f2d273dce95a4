"""What this scheduler holds, and how each request leaves its hands."""

from collections.abc import Iterable
from typing import Final

from libs.kit import clock
from services.scheduler import spans
from services.scheduler.domain.held import Held
from services.scheduler.domain.recent import BY_OPERATOR, Recent
from services.scheduler.stats import Stats
from services.scheduler.voice import Voice

CANCELLED_BY_OPERATOR: Final = ("cancelled_by_operator", "An operator has cancelled the request.")


class Ledger:
    """The requests leased to this scheduler, each until one of the five ends below.

    It also remembers for a while what was accepted or called off, because JetStream repeats a message whose
    acknowledgement was lost.
    """

    def __init__(self, voice: Voice, stats: Stats, called_off: Recent) -> None:
        self._voice = voice
        self._stats = stats
        self._called_off = called_off
        self._accepted = Recent()
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._held

    def get(self, request_id: str) -> Held | None:
        """What is held of a request."""
        return self._held.get(request_id)

    def all(self) -> Iterable[Held]:
        """Everything held."""
        return self._held.values()

    def is_called_off(self, request_id: str) -> bool:
        """Whether the request was cancelled lately, perhaps before it came here."""
        return request_id in self._called_off

    def repeats(self, held: Held) -> bool:
        """Whether this delivery tells nothing new; it is then settled, or joined with what is held."""
        request_id, retry = held.request_id, held.envelope.retry
        present = self._held.get(request_id)
        if self._accepted.retry_of(request_id) >= retry or (present is not None and present.envelope.retry > retry):
            self._voice.done(held)
        elif present is not None and present.envelope.retry == retry:
            # Our lease lapsed, and the message came back: the newest delivery is the one that can be settled.
            if not held.express:
                present.ack_subject, present.delivery = held.ack_subject, held.delivery
        else:
            return False
        self._stats.repeated += 1
        return True

    def hold(self, held: Held) -> None:
        """Keep a request until it ends."""
        self._held[held.request_id] = held

    def forget_old(self) -> None:
        """Let a period of the memory of accepted requests pass."""
        self._accepted.rotate()

    # The ends

    def accepted(self, held: Held) -> None:
        """A worker has it: the gateway owns the retry from here on."""
        self._stats.accepted += 1
        self._stats.waited(clock.unix_ms() - held.envelope.submitted_ms)
        self._accepted.add(held.request_id, held.envelope.retry)
        self.superseded(held)
        if held.cancelled:
            self._voice.repeat_cancel(held.request_id, by_operator=held.by_operator)

    def superseded(self, held: Held) -> None:
        """The gateway has submitted the request again, or knows enough: only the stream message is left to settle."""
        self._drop(held)
        self._voice.done(held)

    def cancelled(self, held: Held) -> None:
        """It will not run: the client does not want it any more, or an operator does not, which the client is told."""
        if held.by_operator or self._called_off.retry_of(held.request_id) == BY_OPERATOR:
            self._called_off.add(held.request_id, BY_OPERATOR)
            self.failed(held, *CANCELLED_BY_OPERATOR)
            return
        self._stats.cancelled += 1
        self._called_off.add(held.request_id, held.envelope.retry)
        self._drop(held)
        if self._voice.confirm_cancel(held):
            self._voice.done(held)

    def failed(self, held: Held, code: str, message: str) -> None:
        """It will not run, and the client is told why."""
        self._stats.failed[code] += 1
        if held.envelope.traceparent:
            spans.failed(held, code)
        self._drop(held)
        # Unsaid, it stays in the stream: the lease runs out, and it fails again when the bus has room.
        if self._voice.fail(held.envelope.reply, held.attempt, code, message):
            self._voice.done(held)

    def given_back(self, held: Held) -> None:
        """The stream has it again, or for the first time, for whoever can offer it next."""
        self._stats.stored += held.express
        self._drop(held)
        self._voice.give_back(held)

    def _drop(self, held: Held) -> None:
        held.settled = True
        self._held.pop(held.request_id, None)
