"""One holder of limits at this gateway: its share, and what is in use of it."""

from typing import Final

from libs.contracts.identity import Amounts, Grant, Limits, Want
from services.gateway.limits.window import Window

REQUESTS: Final = 0
TOKENS: Final = 1
SLOTS: Final = 2
BUDGET: Final = 3
KINDS: Final = (REQUESTS, TOKENS, SLOTS, BUDGET)
ALL: Final = 2**62
"""The share of what is not limited."""

Four = tuple[int, int, int, int]


class Holder:
    """A project or a key. In use: what the last minute began, what runs, what the period's budget was spent on."""

    __slots__ = (
        "asked",
        "before",
        "contended",
        "elsewhere",
        "elsewhere_spent_tokens",
        "is_done",
        "limits",
        "maxima",
        "name",
        "period",
        "period_ends_ms",
        "refused_until_s",
        "reserved_tokens",
        "running",
        "share",
        "spent_tokens",
        "wait_s",
        "waiting_requests",
        "waiting_tokens",
        "was_done",
        "window",
    )

    def __init__(self, name: str, limits: Limits) -> None:
        """Begin with no share of anything that is limited."""
        self.name = name
        self.window = Window()
        self.running = 0
        self.reserved_tokens = 0
        """Of the budget, by requests that run."""
        self.spent_tokens = 0
        """Of the budget, in this period."""
        self.period = ""
        self.period_ends_ms = 0
        self.contended = False
        self.elsewhere = (0, 0)
        """Requests and tokens that others have used within the minute."""
        self.elsewhere_spent_tokens = 0
        """Of the budget, what others have used for good."""
        self.wait_s = 0.0
        """When others may have something free."""
        self.refused_until_s = 0.0
        """Until when asking again is of no use."""
        self.waiting_requests = 0
        self.waiting_tokens = 0
        self.asked: Four = (0, 0, 0, 0)
        """What was in use or waited for when the newest call was made."""
        self.before: Four = (0, 0, 0, 0)
        """What was in use of shares that are void, until that is told."""
        self.is_done = False
        """Whether the allocator is told that this gateway forgets it; nothing is reserved until that is answered."""
        self.was_done = False
        self.share = [0, 0, 0, 0]
        self.maxima: Four = (0, 0, 0, 0)
        self.limits = Limits()
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Take other limits; shares stay what they are until the next answer."""
        limited = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, limits.budget_tokens)
        for kind in KINDS:
            if not limited[kind]:
                self.share[kind] = ALL
            elif not self.maxima[kind]:
                self.share[kind] = 0
        self.limits, self.maxima = limits, limited

    def lacks(self, tokens: int) -> int:
        """The kind of which the share has too little for one more request, or -1."""
        share, window = self.share, self.window
        if window.requests >= share[REQUESTS]:
            return REQUESTS
        if window.tokens + tokens > share[TOKENS]:
            return TOKENS
        if self.running >= share[SLOTS]:
            return SLOTS
        if self.spent_tokens + self.reserved_tokens + tokens > share[BUDGET]:
            return BUDGET
        return -1

    def begin(self, second: int, tokens: int) -> None:
        """One request takes its part of the share."""
        self.window.add(second, tokens)
        self.running += 1
        self.reserved_tokens += tokens

    def settle(self, second: int, reserved: int, used: int, *, is_counted: bool) -> None:
        """It has ended; without `is_counted` its share is over, and the allocator counts all of that as used."""
        self.running -= 1
        if not is_counted:
            return
        if used != reserved:
            self.window.correct(second, used - reserved)
        self.reserved_tokens -= reserved
        self.spent_tokens += used

    def in_use(self) -> Four:
        """By kind."""
        window = self.window
        return (window.requests, window.tokens, self.running, self.spent_tokens + self.reserved_tokens)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to tell of it."""
        return not (
            self.running
            or self.waiting_requests
            or self.window.requests
            or any(self.share[kind] for kind in KINDS if self.maxima[kind])
        )

    def void(self) -> None:
        """Nothing that was granted counts any more; what was used of it, the allocator counts as if it still were."""
        self.before = self.in_use()
        self.window = Window()
        self.is_done = False
        self.share = [0 if limit else ALL for limit in self.maxima]
        self.reserved_tokens = self.spent_tokens = 0
        self.period = ""

    def want(self, now_s: float) -> Want:
        """What to ask for, giving back at once what is not kept."""
        used = self.in_use()
        self.is_done = self.is_done or (used[:3] == (0, 0, 0) and not self.waiting_requests and used[BUDGET] > 0)
        if self.is_done:
            self.asked = (0, 0, 0, 0)
            self.share = [0 if limit else ALL for limit in self.maxima]
            return Want(holder=self.name, held=_amounts([0, 0, 0, used[BUDGET]]), period=self.period, is_done=True)
        waiting = (self.waiting_requests, self.waiting_tokens, self.waiting_requests, self.waiting_tokens)
        ahead = (0, 0, 0, 0) if self.contended else self._likely(int(now_s))
        self.asked = _sum(used, waiting)
        held, need, more = [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]
        for kind in KINDS:
            limit = self.maxima[kind]
            if not limit:
                continue
            due = self.asked[kind]
            held[kind] = self.share[kind] = min(self.share[kind], due + ahead[kind])
            need[kind] = min(max(0, due - held[kind]), max(0, limit - held[kind]))
            more[kind] = min(max(0, due + ahead[kind] - max(held[kind], due)), max(0, limit - held[kind]))
        return Want(
            holder=self.name,
            held=_amounts([max(held[kind], self.before[kind]) for kind in KINDS]),
            need=_amounts(need),
            ahead=_amounts(more),
            period=self.period,
            used_requests=used[REQUESTS],
            used_tokens=used[TOKENS],
            frees_s=round(self.window.frees_s(now_s, requests=1), 3),
            spent_tokens=self.spent_tokens,
        )

    def take(self, grant: Grant, now_s: float, *, pause_s: float) -> None:
        """Have what was granted; if that is not what waits for it, nothing more is asked for `pause_s`."""
        self.before = (0, 0, 0, 0)
        self.was_done, self.is_done = self.is_done, False
        if grant.period != self.period or self.was_done:
            self.period = grant.period
            self.spent_tokens = 0
        self.period_ends_ms = grant.period_ends_ms
        self.contended = grant.is_contended
        self.elsewhere = (grant.elsewhere_requests, grant.elsewhere_tokens)
        self.elsewhere_spent_tokens = grant.elsewhere_spent_tokens
        self.wait_s = grant.wait_s
        share = grant.share
        granted = (share.requests, share.tokens, share.slots, share.budget_tokens)
        self.share = [granted[kind] if self.maxima[kind] else ALL for kind in KINDS]
        # Who has come since was not asked for, and is no reason to refuse others.
        is_short = any(self.asked[kind] > self.share[kind] for kind in KINDS)
        self.refused_until_s = now_s + pause_s if is_short else 0.0

    def _likely(self, second: int) -> Four:
        """What the next seconds may take, if they are like the last ones."""
        requests, tokens = self.window.recent(second)
        return (requests, tokens, min(requests, self.running + 1), tokens)


def _sum(one: Four, other: Four) -> Four:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def _amounts(numbers: list[int]) -> Amounts:
    return Amounts(requests=numbers[0], tokens=numbers[1], slots=numbers[2], budget_tokens=numbers[3])
