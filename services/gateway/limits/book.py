"""All holders of limits that this gateway knows, the leases it asks for them, and what is reserved.

No clock, no input or output of its own.
"""

from typing import Final

from libs.contracts.identity import LEASE_TTL_S, Lease, Leased, Limits
from libs.kit.errors import ServiceError
from services.gateway.limits.holders import Holder

MAX_ACTIVE: Final = 3_000
"""Holders that one gateway may have shares for at the same time: a call names them all in one message."""
_SURE: Final = 0.7
"""Of a lease, what this gateway relies on: its clock and the allocator's may differ in pace."""
ANSWER_WITHIN_S: Final = (1 - _SURE) * LEASE_TTL_S
"""A later answer is not believed: what it confirms may be over by then."""
_PAUSE_S: Final = 0.1
"""Before asking again for a holder that was just refused: a flood of refusals makes few calls."""


class Reservation:
    """What one request has taken from its holders until it is settled."""

    __slots__ = ("generation", "holders", "is_open", "prompt_tokens", "second", "tokens")

    def __init__(self, holders: tuple[Holder, ...], tokens: int, second: int, generation: int) -> None:
        """Taken by whoever makes it."""
        self.holders = holders
        self.tokens = tokens
        self.prompt_tokens = 0
        """Of these, at most so many of the prompt."""
        self.second = second
        self.generation = generation
        self.is_open = True


class Book:
    """Shares are good while the lease is; whatever happens on the way, this gateway never relies on what it lost."""

    def __init__(self, gateway: str) -> None:
        """Know nobody."""
        self._gateway = gateway
        self._holders: dict[str, Holder] = {}
        self._epoch = ""
        self._number = 0
        self._asked_s = 0.0
        self._is_asked_whole = False
        self._say_whole = False
        self._valid_until_s = 0.0
        self.generation = 0
        """Grows when everything that was granted is void."""

    def holder(self, name: str, limits: Limits) -> Holder:
        """The holder of this name, with these limits from now on.

        Raises:
            ServiceError: `identity_unavailable`, too many of them are active.
        """
        holder = self._holders.get(name)
        if holder is None:
            if len(self._holders) >= MAX_ACTIVE:
                text = f"This gateway keeps {MAX_ACTIVE} limited projects and keys at a time; try again soon."
                raise ServiceError("identity_unavailable", text, retry_after_s=1.0)
            holder = self._holders[name] = Holder(name, limits)
        elif holder.limits is not limits and holder.limits != limits:
            holder.change(limits)
        return holder

    def is_valid(self, now_s: float) -> bool:
        """Whether shares may be relied on."""
        return now_s < self._valid_until_s

    def reserve(self, holders: tuple[Holder, ...], tokens: int, now_s: float) -> Reservation | None:
        """Take one request and its tokens from every holder; None if one of them has too little just now."""
        if now_s >= self._valid_until_s:
            return None
        second = int(now_s)
        for holder in holders:
            holder.window.advance(second)
            if holder.lacks(tokens) >= 0:
                return None
        for holder in holders:
            holder.begin(second, tokens)
        return Reservation(holders, tokens, second, self.generation)

    def settle(self, reservation: Reservation, used_tokens: int) -> None:
        """The request has ended, whatever its end was; again changes nothing."""
        if not reservation.is_open:
            return
        reservation.is_open = False
        is_counted = reservation.generation == self.generation
        for holder in reservation.holders:
            holder.settle(reservation.second, reservation.tokens, used_tokens, is_counted=is_counted)

    @property
    def has_news(self) -> bool:
        """Whether there is anything to hold or to ask for."""
        return bool(self._holders)

    def ask(self, now_s: float) -> Lease:
        """The next call; what it gives back is given back from here on."""
        if self._epoch and now_s >= self._valid_until_s:
            self._void()
        self._number += 1
        self._asked_s = now_s
        self._is_asked_whole = self._say_whole or not self._epoch
        second = int(now_s)
        wants = []
        for holder in self._holders.values():
            holder.window.advance(second)
            wants.append(holder.want(now_s))
        return Lease(
            gateway=self._gateway,
            number=self._number,
            wants=tuple(wants),
            epoch=self._epoch,
            life=self.generation,
            is_whole=self._is_asked_whole,
        )

    def hear(self, answer: Leased, now_s: float) -> bool:
        """Take the answer to the newest call; whether that settles it, or another call must follow at once."""
        if now_s - self._asked_s > ANSWER_WITHIN_S:
            return False
        if answer.is_unknown:
            if self._is_asked_whole:
                self._void()
            else:
                self._say_whole = True
            return False
        self._say_whole = False
        self._epoch = answer.epoch
        self._valid_until_s = self._asked_s + _SURE * LEASE_TTL_S
        for grant in answer.grants:
            holder = self._holders.get(grant.holder)
            if holder is not None:
                holder.take(grant, now_s, pause_s=_PAUSE_S)
        self._drop_idle()
        return not any(holder.was_done and holder.waiting_requests for holder in self._holders.values())

    def _void(self) -> None:
        """Nothing that was granted can be relied on any more: begin anew."""
        self._say_whole = False
        self._epoch = ""
        self._valid_until_s = 0.0
        self.generation += 1
        for holder in self._holders.values():
            holder.void()

    def _drop_idle(self) -> None:
        """Only of holders that hold nothing, so that the allocator need not be told."""
        for name in [holder.name for holder in self._holders.values() if holder.is_idle]:
            del self._holders[name]
