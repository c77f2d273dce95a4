"""What limits cost a request on the gateway's hot path: processor time of the functions that it calls.

`python -m benchmarks.limits [requests]`. One process, no bus: what is asked of the allocator ahead of need is measured
per holder and call. The figures go to `benchmarks/limits.md`.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import describe_machine
from libs.contracts.identity import Amounts, Grant, Leased, Limits
from libs.contracts.inference import Envelope, ServiceClass, Usage
from libs.contracts.permissions import Role
from libs.contracts.requests import ROUTES
from libs.kit import clock
from libs.kit.bus import BusClient, BusOptions
from services.gateway.bodies import decode
from services.gateway.exchange import Exchange
from services.gateway.identity import Principal
from services.gateway.inflight import InFlight
from services.gateway.limits.limiter import Limiter
from services.gateway.limits.telling import left
from services.gateway.mirror import Nobody

ROUTE: Final = ROUTES["/v1/chat/completions"]
BODY: Final = b'{"model":"m","messages":[{"role":"user","content":"%b"}],"max_tokens":64}' % (b"x" * 400)
NO_LIMIT_BODY: Final = BODY.replace(b',"max_tokens":64', b"")
ENVELOPE: Final = Envelope(
    request_id="r1",
    reply="rpl.gateway.g1.r1",
    route=ROUTE.path,
    model="m",
    pool="default",
    service_class=ServiceClass.STANDARD,
    tenant="bound",
    start_by_ms=0,
    deadline_ms=0,
    submitted_ms=0,
)
MUCH: Final = 10**12
LIMITS: Final = Limits(
    requests_per_minute=MUCH, tokens_per_minute=MUCH, concurrency=MUCH, budget_tokens=MUCH, budget_period="month"
)
ROUNDS: Final = 7
RESULT: Final = Path(__file__).with_name("limits.md")


def main() -> int:
    """Measure, print and write."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rows = asyncio.run(_measure(requests))
    lines = [f"| {name} | {median:.2f} | {least:.2f} |" for name, median, least in rows]
    text = _page(requests, lines)
    RESULT.write_text(text, encoding="utf-8")
    print(text)
    return 0


async def _measure(requests: int) -> list[tuple[str, float, float]]:
    free, limited = _principal("free", Limits()), _principal("bound", LIMITS)
    limiter = _limiter(limited)
    named = limiter.limits_of(limited)

    def without() -> None:
        if limiter.limits_of(free):
            raise AssertionError

    def reserved() -> None:
        holders = tuple(limiter.book.holder(name, limits) for name, limits in named)
        reservation = limiter.book.reserve(holders, 500, clock.monotonic_s())
        assert reservation is not None
        limiter.book.settle(reservation, 120)

    async def whole(body: bytes) -> None:
        exchange = Exchange(ROUTE, Nobody())
        exchange.work_began = True
        await limiter.admit(exchange, limiter.limits_of(limited), decode(ROUTE, body), body)
        exchange.dialect.limit_lines(left(exchange.limited, clock.monotonic_s()))
        assert exchange.reservation is not None
        limiter.settle(exchange.reservation, exchange, _ended(exchange))

    async def bare(body: bytes) -> None:
        exchange = Exchange(ROUTE, Nobody())
        exchange.work_began = True
        decode(ROUTE, body)
        _ended(exchange)

    rows = [
        _row(limiter, "a key without limits", without, requests),
        _row(limiter, "reserve and settle, two holders with four limits each", reserved, requests),
    ]
    for name, body in (("that names a limit", BODY), ("that names none", NO_LIMIT_BODY)):
        with_limits = await _async_times(limiter, whole, body, requests)
        without_limits = await _async_times(limiter, bare, body, requests)
        differences = [one - other for one, other in zip(with_limits, without_limits, strict=True)]
        rows.append((f"all that the hot path does, request {name}", statistics.median(differences), min(differences)))
    rows.append(
        _row(limiter, "asking and hearing, per holder and call (twice a second)", lambda: _renew(limiter), 2_000, per=2)
    )
    return rows


def _row(limiter: Limiter, name: str, work: Callable[[], None], count: int, per: int = 1) -> tuple[str, float, float]:
    times = []
    for _ in range(ROUNDS):
        _renew(limiter)
        began_s = time.process_time()
        for _ in range(count):
            work()
        times.append((time.process_time() - began_s) / count / per * 1e6)
    return name, statistics.median(times), min(times)


async def _async_times(
    limiter: Limiter, work: Callable[[bytes], Awaitable[None]], body: bytes, count: int
) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        _renew(limiter)
        began_s = time.process_time()
        for _ in range(count):
            await work(body)
        times.append((time.process_time() - began_s) / count * 1e6)
    return times


def _principal(name: str, limits: Limits) -> Principal:
    return Principal(
        key_id=f"key_{name}",
        tenant=name,
        cache_salt="",
        role=Role.MEMBER,
        permissions=frozenset(),
        limits=limits,
        tenant_limits=limits,
    )


def _limiter(principal: Principal) -> Limiter:
    """One that holds shares, as if an allocator had granted them."""
    limiter = Limiter(BusClient(BusOptions(host="127.0.0.1", port=4222, name="benchmark")), "g1", answer_tokens=64)
    for name, limits in limiter.limits_of(principal):
        limiter.book.holder(name, limits)
    limiter.book.ask(clock.monotonic_s())
    limiter.book.hear(_answer(principal, limiter), clock.monotonic_s())
    return limiter


def _answer(principal: Principal, limiter: Limiter) -> Leased:
    share = Amounts(requests=MUCH, tokens=MUCH, slots=MUCH, budget_tokens=MUCH)
    names = [name for name, _ in limiter.limits_of(principal)]
    return Leased(epoch="1", grants=tuple(Grant(holder=name, share=share, period="2026-11") for name in names))


def _renew(limiter: Limiter) -> None:
    call = limiter.book.ask(clock.monotonic_s())
    msgspec.json.encode(call)
    share = Amounts(requests=MUCH, tokens=MUCH, slots=MUCH, budget_tokens=MUCH)
    grants = tuple(Grant(holder=want.holder, share=share, period="2026-11") for want in call.wants)
    limiter.book.hear(Leased(epoch="1", grants=grants), clock.monotonic_s())


def _ended(exchange: Exchange) -> InFlight:
    inflight = InFlight(exchange, ENVELOPE, BODY, max_buffered_bytes=0, max_response_bytes=0)
    inflight.usage = Usage(prompt_tokens=100, completion_tokens=20)
    return inflight


def _page(requests: int, lines: list[str]) -> str:
    return "\n".join(
        (
            "# What limits cost a request",
            "",
            f"Processor time of the gateway's own functions, in µs per request: {requests} requests, {ROUNDS} rounds.",
            f"Machine: {describe_machine(private_network=False).processor}.",
            "",
            "| what | median | least |",
            "|---|---|---|",
            *lines,
            "",
            "Made by `python -m benchmarks.limits`. The aim is 50 µs at most.",
            "",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
