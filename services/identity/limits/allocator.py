"""Answers gateways' leases: who lives, who holds what, what is granted. No clock, no input or output of its own."""

from collections.abc import Iterable, Mapping
from typing import Final

from libs.contracts.identity import LEASE_TTL_S, Grant, Lease, Leased, Limits, Want
from services.identity.limits.ledger import Ledger, Row
from services.identity.limits.periods import period_of
from services.identity.limits.quantities import BUDGET, ZERO, Quantity, amounts_of, limit_of, quantity_of

_NO_LIMITS: Final = Limits()


class _Gateway:
    """One gateway that lives."""

    __slots__ = ("answer", "heard_s", "holders", "life", "number")

    def __init__(self) -> None:
        self.heard_s = 0.0
        self.number = -1
        self.answer: Leased | None = None
        """To `number`; None if that was never said."""
        self.holders: set[str] = set()
        self.life = 0


class Allocator:
    """One epoch: whoever leads begins with what was written by the one before."""

    def __init__(self, epoch: str, *, started_s: float, rows: Iterable[Row] = ()) -> None:
        """Begin. Gateways that hold shares of the epoch before may claim them for as long as such shares last."""
        self.epoch = epoch
        self._claims_until_s = started_s + LEASE_TTL_S
        self._gateways: dict[str, _Gateway] = {}
        self._ledgers = {row.holder: Ledger(row.holder, row=row, known_s=self._claims_until_s) for row in rows}

    def lease(self, call: Lease, limits: Mapping[str, Limits], *, now_s: float, now_ms: int) -> Leased:
        """What a gateway has from now on; before it is said, what `unwritten` gives must be written down."""
        self._end_silent(now_s)
        gateway = self._gateways.get(call.gateway)
        if gateway is None:
            if not self._may_begin(call, now_s):
                return Leased(epoch=self.epoch, is_unknown=True)
            gateway = self._gateways[call.gateway] = _Gateway()
            self._adopt(call, gateway)
        elif call.number < gateway.number:
            return Leased(epoch=self.epoch)
        elif call.number == gateway.number and gateway.answer is not None:
            return gateway.answer
        elif not call.epoch:
            self._begin_anew(call, gateway, now_s)
        gateway.heard_s, gateway.number, gateway.life = now_s, call.number, call.life
        if call.is_whole:
            self._release_others(call, gateway)
        grants = tuple(
            self._grant(call.gateway, gateway, want, limits.get(want.holder, _NO_LIMITS), now_s, now_ms)
            for want in call.wants
        )
        gateway.answer = Leased(epoch=self.epoch, grants=grants)
        return gateway.answer

    def unwritten(self, holders: Iterable[str]) -> list[Row]:
        """Rows of these holders that must be written down before an answer about them is said."""
        ledgers = (self._ledgers.get(holder) for holder in holders)
        return [row for ledger in ledgers if ledger is not None and (row := ledger.unwritten()) is not None]

    def wrote(self, rows: Iterable[Row]) -> None:
        """These are written."""
        for row in rows:
            self._ledgers[row.holder].written = row.out

    def unsaid(self, gateway: str) -> None:
        """The last answer could not be said: the same call will be answered anew."""
        known = self._gateways.get(gateway)
        if known is not None:
            known.answer = None

    def idle(self, now_s: float) -> list[str]:
        """Holders of which nothing is out at all, so that nothing need be written of them."""
        self._end_silent(now_s)
        for ledger in self._ledgers.values():
            ledger.pass_time(now_s, ledger.period)
        return [one.holder for one in self._ledgers.values() if one.is_idle and not one.out()[BUDGET]]

    def forget(self, holders: Iterable[str]) -> None:
        """Nothing is written of these any more."""
        for holder in holders:
            del self._ledgers[holder]

    def _may_begin(self, call: Lease, now_s: float) -> bool:
        """Whether what an unknown gateway says of itself can be true: it has nothing, or has it from before."""
        if not call.epoch:
            return True
        return call.is_whole and call.epoch != self.epoch and now_s < self._claims_until_s

    def _adopt(self, call: Lease, gateway: _Gateway) -> None:
        if not call.epoch:
            return
        for want in call.wants:
            ledger = self._ledgers.get(want.holder)
            if ledger is not None:
                ledger.adopt(call.gateway, quantity_of(want.held))
                gateway.holders.add(want.holder)

    def _begin_anew(self, call: Lease, gateway: _Gateway, now_s: float) -> None:
        """A gateway that is known says that it has no epoch: of an earlier life, or its answer was lost in this one."""
        if call.life != gateway.life:
            self._end(call.gateway, gateway, now_s, {want.holder: quantity_of(want.held) for want in call.wants})
            return
        for holder in gateway.holders:
            self._ledgers[holder].keep(call.gateway, ZERO)
        gateway.holders.clear()

    def _release_others(self, call: Lease, gateway: _Gateway) -> None:
        """What a whole call does not name is not held."""
        for holder in gateway.holders - {want.holder for want in call.wants}:
            self._ledgers[holder].keep(call.gateway, (0, 0, 0, 0))
        gateway.holders &= {want.holder for want in call.wants}

    def _grant(self, name: str, gateway: _Gateway, want: Want, limits: Limits, now_s: float, now_ms: int) -> Grant:
        ledger = self._ledgers.get(want.holder)
        if ledger is None:
            ledger = self._ledgers[want.holder] = Ledger(want.holder)
        period, ends_ms = period_of(limits, now_ms)
        ledger.limit = limit_of(limits)
        ledger.pass_time(now_s, period)
        if want.is_done:
            ledger.close(name, quantity_of(want.held), want.period)
        ledger.keep(name, quantity_of(want.held))
        met = ledger.grant(
            name, quantity_of(want.need), quantity_of(want.ahead), now_s=now_s, gateways=len(self._gateways)
        )
        share = ledger.share_of(name)
        if any(share):
            gateway.holders.add(want.holder)
            ledger.used[name] = (want.used_requests, want.used_tokens, want.frees_s)
            ledger.settle(name, want.spent_tokens, want.period)
        else:
            gateway.holders.discard(want.holder)
        requests, tokens = ledger.elsewhere(name)
        return Grant(
            holder=want.holder,
            share=amounts_of(share),
            period=period,
            period_ends_ms=ends_ms,
            is_contended=ledger.is_contended(name, now_s),
            elsewhere_requests=requests,
            elsewhere_tokens=tokens,
            elsewhere_spent_tokens=ledger.elsewhere_spent(name, now_s),
            wait_s=0.0 if met else round(ledger.frees_s(name, now_s), 3),
        )

    def _end_silent(self, now_s: float) -> None:
        silent = [name for name, one in self._gateways.items() if now_s - one.heard_s >= LEASE_TTL_S]
        for name in silent:
            self._end(name, self._gateways.pop(name), now_s)

    def _end(self, name: str, gateway: _Gateway, now_s: float, claims: Mapping[str, Quantity] | None = None) -> None:
        """Its shares are over, and it says what was in use of them, or nothing at all."""
        for holder in gateway.holders:
            claim = None if claims is None else claims.get(holder, ZERO)
            self._ledgers[holder].end(name, now_s, claim)
        gateway.holders.clear()
