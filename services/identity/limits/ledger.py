"""One holder's account: who has which share of its limits, and what of those who have gone still counts."""

import math
from dataclasses import dataclass
from typing import Final

from libs.contracts.identity import RATE_WINDOW_S
from services.identity.limits.quantities import BUDGET, KINDS, RATES, SLOTS, ZERO, Quantity

CONTENDED_S: Final = 2.0
"""For so long others keep nothing in advance after somebody was short."""
_STEPS: Final = 8
"""Of a limit, in which what is out is written down: what grows slowly is not written each time."""


@dataclass(frozen=True, slots=True)
class Row:
    """As much of an account as outlives this process: at least what is out."""

    holder: str
    period: str
    out: Quantity


class Ledger:
    """Shares by gateway. Out is what others may be using: shares, and what is left of those that are over."""

    def __init__(self, holder: str, *, row: Row | None = None, known_s: float = 0.0) -> None:
        """Begin with nothing out, or with a row of which gateways will claim parts until `known_s`."""
        self.holder = holder
        self.limit: Quantity = ZERO
        self.period = row.period if row else ""
        self.written: Quantity = row.out if row else ZERO
        self.used: dict[str, tuple[int, int, float]] = {}
        """Requests and tokens of the last minute by gateway, and when some of it leaves the minute."""
        self._held: dict[str, list[int]] = {}
        self._over: list[tuple[float, int, int]] = []
        """Until when, of which rate, how much."""
        self._unclaimed = list(self.written)
        self._unclaimed_until_s = [known_s + RATE_WINDOW_S, known_s + RATE_WINDOW_S, known_s, math.inf]
        self._spent = 0
        """Of the budget, by gateways that have gone."""
        self._settled: dict[str, int] = {}
        """Of the budget, by gateway, what requests that have ended used."""
        self._needy: dict[str, float] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is out but, perhaps, a budget."""
        return not self._held and not self._over and not any(self._unclaimed[kind] for kind in (*RATES, SLOTS))

    def out(self) -> Quantity:
        """What is granted and not known to be free again."""
        total = self._unclaimed.copy()
        for held in self._held.values():
            for kind in KINDS:
                total[kind] += held[kind]
        for _, kind, amount in self._over:
            total[kind] += amount
        total[BUDGET] += self._spent
        return (total[0], total[1], total[2], total[3])

    def share_of(self, gateway: str) -> Quantity:
        """What one gateway has."""
        held = self._held.get(gateway)
        return (held[0], held[1], held[2], held[3]) if held else ZERO

    def pass_time(self, now_s: float, period: str) -> None:
        """Free what is over by now; a new period forgets what was spent, but not what gateways have."""
        if self._over:
            self._over = [one for one in self._over if one[0] > now_s]
        for kind in KINDS:
            if self._unclaimed[kind] and self._unclaimed_until_s[kind] <= now_s:
                self._unclaimed[kind] = 0
        if period != self.period:
            self._settled.clear()
            if self.period:
                self._spent = 0
                # Gateways that may yet claim it have it still; the others have gone.
                self._unclaimed_until_s[BUDGET] = self._unclaimed_until_s[SLOTS]
                self.pass_time(now_s, self.period)
            self.period = period

    def adopt(self, gateway: str, claim: Quantity) -> None:
        """Believe a gateway that has a share from an earlier allocator, as far as something of it is unclaimed."""
        taken = [min(claim[kind], self._unclaimed[kind]) for kind in KINDS]
        for kind in KINDS:
            self._unclaimed[kind] -= taken[kind]
        self._held[gateway] = taken

    def keep(self, gateway: str, claim: Quantity) -> None:
        """A gateway says what it keeps of its share; the rest is free."""
        held = self._held.get(gateway)
        if held is None:
            return
        for kind in KINDS:
            held[kind] = min(held[kind], claim[kind])
        if not any(held):
            self._remove(gateway)

    def close(self, gateway: str, claim: Quantity, period: str) -> None:
        """A gateway forgets this holder: what it has spent of the budget stays spent, the rest is free."""
        self.keep(gateway, (0, 0, 0, claim[BUDGET]))
        held = self._remove(gateway)
        if held is not None and period == self.period:
            self._spent += held[BUDGET]

    def end(self, gateway: str, now_s: float, claim: Quantity | None = None) -> None:
        """A gateway's shares are over: what it says was in use counts as used, or all of it if it says nothing."""
        if claim is not None:
            self.keep(gateway, claim)
        held = self._remove(gateway)
        self._needy.pop(gateway, None)
        if held is None:
            return
        self._over += [(now_s + RATE_WINDOW_S, kind, held[kind]) for kind in RATES if held[kind]]
        self._spent += held[BUDGET]

    def settle(self, gateway: str, tokens: int, period: str) -> None:
        """A gateway says how much of the budget that it holds was used by requests that have ended."""
        self._settled[gateway] = tokens if period == self.period else 0

    def grant(self, gateway: str, need: Quantity, ahead: Quantity, *, now_s: float, gateways: int) -> bool:
        """Add to a share what is free: first for those who wait, then a part of the rest; whether the need is met."""
        out = self.out()
        contended = self.is_contended(gateway, now_s)
        given = [0, 0, 0, 0]
        met = True
        for kind in KINDS:
            free = self.limit[kind] - out[kind]
            if not self.limit[kind] or free <= 0:
                met = met and not (self.limit[kind] and need[kind])
                continue
            given[kind] = min(need[kind], free)
            met = met and given[kind] == need[kind]
            if not contended:
                given[kind] += min(ahead[kind], (free - given[kind]) // (2 * gateways))
        if any(given):
            held = self._held.setdefault(gateway, [0, 0, 0, 0])
            for kind in KINDS:
                held[kind] += given[kind]
        if met:
            self._needy.pop(gateway, None)
        else:
            self._needy[gateway] = now_s + CONTENDED_S
        return met

    def is_contended(self, gateway: str, now_s: float) -> bool:
        """Whether another gateway was short of late."""
        return any(other != gateway and until_s > now_s for other, until_s in self._needy.items())

    def elsewhere(self, gateway: str) -> tuple[int, int]:
        """Requests and tokens of the last minute that are not this gateway's."""
        requests = sum(used[0] for other, used in self.used.items() if other != gateway)
        tokens = sum(used[1] for other, used in self.used.items() if other != gateway)
        gone = [sum(amount for _, kind, amount in self._over if kind == rate) for rate in RATES]
        return requests + gone[0] + self._unclaimed[0], tokens + gone[1] + self._unclaimed[1]

    def elsewhere_spent(self, gateway: str, now_s: float) -> int:
        """Tokens of the budget that have gone for good and are not this gateway's; none that may yet come back."""
        settled = sum(
            min(tokens, self._held[other][BUDGET])
            for other, tokens in self._settled.items()
            if other != gateway and other in self._held
        )
        # Until then, gateways may claim it and say that only requests that run have it.
        lost = self._unclaimed[BUDGET] if now_s >= self._unclaimed_until_s[SLOTS] else 0
        return self._spent + settled + lost

    def frees_s(self, gateway: str, now_s: float) -> float:
        """In how many seconds something of a rate may become free that is not this gateway's; 0 if unknown."""
        times = [used[2] for other, used in self.used.items() if other != gateway and used[2]]
        times += [until_s - now_s for until_s, _, _ in self._over]
        times += [self._unclaimed_until_s[rate] - now_s for rate in RATES if self._unclaimed[rate]]
        return max(0.0, min(times, default=0.0))

    def _remove(self, gateway: str) -> list[int] | None:
        self.used.pop(gateway, None)
        self._settled.pop(gateway, None)
        return self._held.pop(gateway, None)

    def unwritten(self) -> Row | None:
        """What must be written down before anything of it is used; None if what is written covers it."""
        out = self.out()
        covered = all(out[kind] <= self.written[kind] for kind in (*RATES, SLOTS))
        if covered and out[BUDGET] == self.written[BUDGET]:
            return None
        rounded = [_rounded_up(out[kind], self.limit[kind]) for kind in (*RATES, SLOTS)]
        return Row(self.holder, self.period, (rounded[0], rounded[1], rounded[2], out[BUDGET]))


def _rounded_up(out: int, limit: int) -> int:
    """To the next step of the limit, so that not each small growth is written."""
    step = max(1, limit // _STEPS)
    return max(out, min(limit, -(-out // step) * step))
