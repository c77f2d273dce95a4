"""Gateways and an allocator in one made-up time, and a network between them that loses, repeats and delays."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from libs.contracts.identity import LEASE_TTL_S, RATE_WINDOW_S, Lease, Leased, Limits
from services.gateway.limits.book import Book, Reservation
from services.gateway.limits.holders import Holder
from services.identity.limits.allocator import Allocator
from services.identity.limits.ledger import Row

NEARLY_MIDNIGHT_MS = 1_795_391_980_000
"""2026-11-22 23:59:40 UTC."""


@dataclass
class Begun:
    """One request that was let in."""

    at_s: float
    gate: "Gate"
    holders: tuple[str, ...]
    periods: tuple[str, ...]
    reservation: Reservation
    tokens: int
    runs: bool = True


@dataclass
class Gate:
    """One gateway process."""

    name: str
    book: Book
    asked: Lease | None = None
    """The newest call, while its answer is waited for."""
    asked_s: float = 0.0
    heard_s: float = -LEASE_TTL_S
    """When the newest call was sent that was answered."""
    alive: bool = True
    short: tuple[Holder, ...] = ()
    """For whom a request waits."""


@dataclass
class World:
    """Everything that happens, and what an all-knowing auditor counts."""

    limits: dict[str, Limits]
    now_s: float = 1_000.0
    epoch: int = 1
    rows: dict[str, Row] = field(default_factory=dict)
    """What is written down."""
    gates: list[Gate] = field(default_factory=list)
    calls: list[tuple[Gate, Lease]] = field(default_factory=list)
    """On their way to the allocator, for ever."""
    answers: list[tuple[Gate, int, Leased]] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.allocator = Allocator("1", started_s=self.now_s)

    @property
    def now_ms(self) -> int:
        return NEARLY_MIDNIGHT_MS + int((self.now_s - 1_000.0) * 1000)

    def open(self) -> Gate:
        """One gateway more."""
        gate = Gate(f"g{len(self.gates)}", Book(f"g{len(self.gates)}"))
        self.gates.append(gate)
        return gate

    def begin(self, gate: Gate, names: tuple[str, ...], tokens: int) -> bool:
        """A request comes; whether it is let in. Otherwise it waits no longer than the next call."""
        holders = tuple(gate.book.holder(name, self.limits[name]) for name in names)
        for holder in holders:
            holder.waiting_requests = holder.waiting_tokens = 0
        reservation = gate.book.reserve(holders, tokens, self.now_s)
        if reservation is None:
            for holder in holders:
                holder.waiting_requests, holder.waiting_tokens = 1, tokens
            gate.short = holders
            return False
        periods = tuple(holder.period for holder in holders)
        self.begun.append(Begun(self.now_s, gate, names, periods, reservation, tokens))
        return True

    def end(self, begun: Begun, used: int) -> None:
        """A request ends."""
        begun.gate.book.settle(begun.reservation, used)
        begun.tokens, begun.runs = used, False

    def ask(self, gate: Gate) -> None:
        """A gateway calls; it waits no more for the answer to the call before."""
        gate.asked, gate.asked_s = gate.book.ask(self.now_s), self.now_s
        self.calls.append((gate, gate.asked))

    def deliver(self, index: int, *, again: bool = False, written: bool = True, said: bool = True) -> None:
        """A call arrives: perhaps not for the last time, perhaps what it grants cannot be written, or said."""
        gate, call = self.calls[index] if again else self.calls.pop(index)
        answer = self.allocator.lease(call, self.limits, now_s=self.now_s, now_ms=self.now_ms)
        rows = self.allocator.unwritten(want.holder for want in call.wants)
        if rows and not written:
            self.allocator.unsaid(call.gateway)
            return
        self.rows |= {row.holder: row for row in rows}
        self.allocator.wrote(rows)
        if said:
            self.answers.append((gate, call.number, answer))

    def hear(self, index: int) -> None:
        """An answer arrives; a gateway that waits for another one does not listen."""
        gate, number, answer = self.answers.pop(index)
        if gate.alive and gate.asked is not None and gate.asked.number == number:
            gate.asked = None
            if gate.book.hear(answer, self.now_s):
                gate.heard_s = gate.asked_s

    def talk(self, gate: Gate) -> None:
        """Call until nothing is left to say, with nothing lost."""
        for _ in range(4):
            self.ask(gate)
            self.deliver(len(self.calls) - 1)
            self.hear(len(self.answers) - 1)
        for holder in gate.short:
            holder.waiting_requests = holder.waiting_tokens = 0

    def kill(self, gate: Gate) -> None:
        """A gateway is gone, and what it ran."""
        gate.alive = False
        for begun in self.begun:
            if begun.gate is gate:
                begun.runs = False

    def restart(self) -> None:
        """Another allocator, which knows what is written."""
        self.epoch += 1
        self.allocator = Allocator(str(self.epoch), started_s=self.now_s, rows=self.rows.values())

    def tidy(self) -> None:
        """The allocator forgets those of whom nothing is out."""
        idle = self.allocator.idle(self.now_s)
        self.allocator.forget(idle)
        for holder in idle:
            self.rows.pop(holder, None)

    def overspent(self) -> Iterator[str]:
        """Every limit that is exceeded, in words."""
        for name, limits in self.limits.items():
            mine = [one for one in self.begun if name in one.holders]
            minute = [one for one in mine if one.at_s > self.now_s - RATE_WINDOW_S]
            yield from _above(name, "requests", len(minute), limits.requests_per_minute)
            yield from _above(name, "tokens", sum(one.tokens for one in minute), limits.tokens_per_minute)
            running = [one for one in mine if one.runs and self.now_s - one.gate.heard_s < LEASE_TTL_S]
            leased = [one for one in running if not _was_void(one)]
            yield from _above(name, "slots", len(leased), limits.concurrency)
            by_period: dict[str, int] = {}
            for one in mine:
                period = one.periods[one.holders.index(name)]
                by_period[period] = by_period.get(period, 0) + one.tokens
            for period, tokens in by_period.items():
                yield from _above(name, f"budget of {period}", tokens, limits.budget_tokens)


def _above(name: str, what: str, used: int, limit: int) -> Iterator[str]:
    if limit and used > limit:
        yield f"{name}: {used} {what} of {limit}"


def _was_void(begun: Begun) -> bool:
    """Whether its gateway has learned since that nothing it held counts any more."""
    return begun.reservation.generation != begun.gate.book.generation
