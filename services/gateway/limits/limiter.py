"""Keeps requests within their limits: reserves before they are submitted, settles when they have ended."""

import asyncio
from typing import Final

import structlog

from libs.contracts import subjects
from libs.contracts.identity import LEASING, Leased, Limits
from libs.contracts.requests import RequestBody
from libs.kit import clock
from libs.kit.bus import BusClient
from libs.kit.calls import BusCaller, Callee
from libs.kit.errors import ServiceError
from libs.kit.rounds import Rounds
from libs.kit.waiting import set_within
from services.gateway.exchange import Exchange
from services.gateway.identity import Principal
from services.gateway.inflight import InFlight
from services.gateway.limits import bounds, telling
from services.gateway.limits.book import ANSWER_WITHIN_S, Book, Reservation
from services.gateway.limits.holders import BUDGET, TOKENS, Holder
from services.gateway.limits.usage import EVERY_S, UsageCounter

log = structlog.get_logger(__name__)

CALL_EVERY_S: Final = 0.5
_BREATH_S: Final = 0.01
"""Between two calls: one then serves many requests."""
_CALLS: Final = 4
"""That one renewal may take: an allocator that was started again asks for more."""
_ALLOCATOR: Final = Callee(
    name="identity", operations=LEASING, subject=subjects.identity_call, timeout_s=lambda _: ANSWER_WITHIN_S
)
_NO_LIMITS: Final = Limits()

Named = tuple[tuple[str, Limits], ...]


class Limiter:
    """What the hot path asks; everything that needs others happens beside it."""

    def __init__(self, bus: BusClient, instance: str, *, answer_tokens: int) -> None:
        """Hold nothing yet; requests that name no limit of their own get `answer_tokens` where tokens are limited."""
        self.book = Book(instance)
        self._answer_tokens = answer_tokens
        self._caller = BusCaller(bus, _ALLOCATOR)
        self.usage = UsageCounter(instance, self._caller)
        self._telling = Rounds("usage", self.usage.tell, pause_s=EVERY_S)
        self._limited: dict[str, tuple[Principal, Named]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_away = False

    def start(self) -> None:
        """Renew the lease while there is one, and tell what was used."""
        self._task = asyncio.create_task(self._run(), name="limits")
        self._telling.start()

    async def stop(self) -> None:
        """Give everything back and tell the last figures, if somebody listens."""
        await self._telling.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            while await self.usage.tell():
                pass
            if self.book.has_news:
                await self._renew()
        except ServiceError as error:
            log.warning("the last figures of usage were not told", code=error.code)

    def limits_of(self, principal: Principal) -> Named:
        """The holders that a principal's requests count for, and their limits; empty if there is none."""
        known = self._limited.get(principal.key_id)
        if known is None or known[0] is not principal:
            named = (
                (f"project:{principal.tenant}", principal.tenant_limits),
                (f"key:{principal.first_key or principal.key_id}", principal.limits),
            )
            limited = tuple(one for one in named if one[1] != _NO_LIMITS)
            known = self._limited[principal.key_id] = (principal, limited)
        return known[1]

    async def admit(self, exchange: Exchange, limited: Named, fields: RequestBody, body: bytes) -> bytes:
        """Reserve what a request may cost; the body with the limit under which that is true.

        Raises:
            ServiceError: `rate_limit_exceeded`, `insufficient_quota` or `identity_unavailable`.
        """
        holders = tuple(self.book.holder(name, limits) for name, limits in limited)
        exchange.limited = holders
        path = exchange.route.path
        tokens = prompt = bounds.prompt_bound(path, body)
        if any(holder.maxima[TOKENS] or holder.maxima[BUDGET] for holder in holders):
            if bounds.needs_limit(path, fields):
                body = bounds.with_limit(path, fields, body, self._answer_limit(holders, prompt))
            tokens += bounds.answer_bound(path, fields)
        reservation = self.book.reserve(holders, tokens, clock.monotonic_s())
        if reservation is None:
            reservation = await self._wait(holders, tokens)
        reservation.prompt_tokens = prompt
        exchange.reservation = reservation
        return body

    def settle(self, reservation: Reservation, exchange: Exchange, inflight: InFlight | None) -> None:
        """A request has ended, in whatever way: its slot is free, and what it did not use."""
        self.book.settle(reservation, _used(reservation, exchange, inflight))
        self._release(reservation.holders)

    def _release(self, holders: tuple[Holder, ...]) -> None:
        """Give back at once what others wait for."""
        for holder in holders:
            if holder.contended:
                self._wake.set()

    def _answer_limit(self, holders: tuple[Holder, ...], prompt: int) -> int:
        """For a request that names none: the setting's, or what the tightest limit leaves beside the prompt."""
        maxima = [holder.maxima[kind] for holder in holders for kind in (TOKENS, BUDGET) if holder.maxima[kind]]
        return max(1, min(self._answer_tokens, min(maxima) - prompt))

    async def _wait(self, holders: tuple[Holder, ...], tokens: int) -> Reservation:
        """Wait for one call, unless that cannot help."""
        now_s = clock.monotonic_s()
        hopeless = telling.too_large(holders, tokens, now_s)
        if hopeless is not None:
            # Asked for, it would take what others could use.
            raise hopeless
        if self.book.is_valid(now_s):
            for holder in holders:
                kind = holder.lacks(tokens)
                if kind >= 0 and telling.is_hopeless(holder, kind, tokens, now_s):
                    raise telling.refusal(holders, tokens, now_s)
        for holder in holders:
            holder.waiting_requests += 1
            holder.waiting_tokens += tokens
        answered = asyncio.get_running_loop().create_future()
        self._waiters.append(answered)
        self._wake.set()
        try:
            await answered
        finally:
            for holder in holders:
                holder.waiting_requests -= 1
                holder.waiting_tokens -= tokens
        now_s = clock.monotonic_s()
        reservation = self.book.reserve(holders, tokens, now_s)
        if reservation is None:
            # What was granted of it, too little for this request, may be enough for somebody else's.
            self._release(holders)
            raise telling.refusal(holders, tokens, now_s) if self.book.is_valid(now_s) else telling.unavailable()
        return reservation

    async def _run(self) -> None:
        while True:
            await set_within(self._wake, CALL_EVERY_S)
            self._wake.clear()
            waiters, self._waiters = self._waiters, []
            try:
                if self.book.has_news:
                    await self._renew()
            except Exception:
                # Those who wait are refused; the log must say why before it is tried again.
                log.exception("limits could not be renewed")
            finally:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
            await asyncio.sleep(_BREATH_S)

    async def _renew(self) -> None:
        try:
            for _ in range(_CALLS):
                answer: Leased = await self._caller.call("lease", self.book.ask(clock.monotonic_s()))
                if self.book.hear(answer, clock.monotonic_s()):
                    break
        except ServiceError as error:
            if not self._is_away:
                log.warning("nobody grants limits", code=error.code, reason=error.message)
            self._is_away = True
        else:
            self._is_away = False


def _used(reservation: Reservation, exchange: Exchange, inflight: InFlight | None) -> int:
    """What the engine counted; where it could not, at least what the client has received."""
    if inflight is None or not exchange.work_began or not reservation.tokens:
        return 0
    if inflight.usage is not None:
        return inflight.usage.prompt_tokens + inflight.usage.completion_tokens
    if exchange.outcome == "error" and not exchange.response_bytes:
        return 0
    return min(reservation.tokens, reservation.prompt_tokens + exchange.response_bytes)
