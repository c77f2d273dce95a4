"""Limits over two gateway processes: nobody overspends, whatever is killed, and nothing of a limit is lost for ever."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import pytest

from libs.contracts.identity import FindUsage, Limits
from libs.kit.settings import PostgresSettings
from libs.testkit.identity import IdentityGround
from libs.testkit.nats_server import NatsServer
from libs.testkit.stores import PostgresServer
from libs.testkit.wait import eventually
from tests.e2e.limits_scene import OK, REFUSED, RESERVED, Account, Answer, Scene, ask, scene

SLOTS: Final = 4
TOKENS_EACH: Final = 12
"""Of the budget, for each request: too little for all of them."""


@pytest.fixture
def ground(
    private_nats: NatsServer, postgres_server: PostgresServer, database: PostgresSettings, tmp_path: Path
) -> IdentityGround:
    return IdentityGround(private_nats, postgres_server, database, tmp_path)


async def rush(
    here: Scene, key: str, count: int, meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> Account:
    """So many requests at once, shared by the gateways, each tried until it is answered or nothing more can help."""
    account = Account()
    disturbing = asyncio.create_task(meanwhile()) if meanwhile is not None else None
    await asyncio.gather(*(persist(here.ports[number % 2], key, account) for number in range(count)))
    if disturbing is not None:
        await disturbing
    return account


async def persist(port: int, key: str, account: Account) -> None:
    """Ask as an SDK does: again when it was told to, and no more when it was told that this is of no use."""
    while True:
        try:
            answer = await ask(port, key)
        except (OSError, EOFError):
            account.broken += 1
            await asyncio.sleep(1)
            continue
        if account.note(answer) or answer.is_final:
            return
        await asyncio.sleep(answer.retry_after_s)


async def slow(here: Scene, index: int, key: str) -> Answer | None:
    """A request that runs for long; None if its gateway was killed."""
    try:
        return await ask(here.ports[index], key, user="pace-500ms", max_tokens=40)
    except (OSError, EOFError):
        return None


async def check_slots(here: Scene, key: str) -> None:
    """Requests of both gateways together take every slot, and not one more."""
    running: list[asyncio.Task[Answer | None]] = []
    async with asyncio.timeout(240):
        while len(running) < SLOTS:
            task = asyncio.create_task(slow(here, len(running) % 2, key))
            done, _ = await asyncio.wait([task], timeout=3)
            if not done:
                running.append(task)
            else:
                answer = task.result()
                assert answer is not None
                assert answer.status != OK
            if any(one.done() for one in running):
                running = []
    answer = await ask(here.ports[0], key)
    assert (answer.status, answer.code) == (REFUSED, "rate_limit_exceeded")
    assert float(answer.headers["retry-after-ms"]) >= 1000
    for answered in await asyncio.gather(*running):
        assert answered is not None
        assert answered.status == OK


async def check_usage(here: Scene, tenant: str, account: Account) -> None:
    """What was used is known to the last token."""

    async def is_told() -> bool | None:
        report = await here.desk.call("usage", FindUsage(tenant=tenant))
        used = [(row.requests, row.tokens) for row in report.rows]
        return used == [(account.answered, account.tokens)] or None

    await eventually(is_told, timeout_s=60, what=f"usage of {account}")


async def spend(here: Scene, name: str, count: int) -> str:
    """A budget that is too small for all requests, spent to the last; what there is to say of it."""
    budget = TOKENS_EACH * count
    key = await here.key(name, Limits(budget_tokens=budget, budget_period="month"))
    account = await rush(here, key, count)
    left = budget - account.tokens
    assert account.codes["insufficient_quota"]
    assert not account.broken
    assert 0 <= left < RESERVED, account
    await check_usage(here, name, account)
    return f"{count} at once: {account.answered} answered, {account.tokens} of {budget} tokens spent, {left} left"


async def spend_while_processes_die(here: Scene, name: str, count: int) -> str:
    """The same while a gateway and the identity process are killed and started again."""
    budget = TOKENS_EACH * count
    key = await here.key(name, Limits(budget_tokens=budget))
    slots_key = await here.key(f"{name}-slots", Limits(concurrency=SLOTS, tokens_per_minute=10**6))
    long_ones = [asyncio.create_task(slow(here, index % 2, slots_key)) for index in range(SLOTS)]

    async def kill() -> None:
        await here.kill_gateway(1)
        await here.kill_identity()

    account = await rush(here, key, count, kill)
    left = budget - account.tokens
    # What the killed gateway had, reserved or in advance, counts as spent.
    assert left >= 0, account
    await asyncio.gather(*long_ones)
    await check_slots(here, slots_key)
    return f"with kills: {account.answered} answered, {account.tokens} of {budget} spent, {account.broken} cut off"


async def check_rates(here: Scene) -> None:
    """A limit per minute over both gateways, and what the headers say of it."""
    key = await here.key("rates", Limits(requests_per_minute=20, tokens_per_minute=10**6))
    began_s = asyncio.get_running_loop().time()
    account = Account()
    for answer in await asyncio.gather(*(ask(here.ports[number % 2], key) for number in range(60))):
        account.note(answer)
    minutes = 1 + int((asyncio.get_running_loop().time() - began_s) / 60)
    assert 15 <= account.answered <= 20 * minutes, account
    answer = await ask(here.ports[0], key)
    assert answer.headers["x-ratelimit-limit-requests"] == "20"
    assert 0 <= int(answer.headers["x-ratelimit-remaining-requests"]) <= 20
    assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) > 900_000
    messages = await ask(here.ports[0], key, path="/v1/messages")
    assert messages.headers["anthropic-ratelimit-requests-limit"] == "20"
    assert messages.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
    assert not any(name.startswith("x-ratelimit") for name in messages.headers)
    if answer.status == REFUSED:
        assert float(answer.headers["retry-after-ms"]) > 0


async def check_absence(here: Scene) -> None:
    """While no identity service answers, keys without limits notice nothing, and limited ones get 503 in the end."""
    await here.desk.project("free")
    key = (await here.desk.key("free")).secret
    limited = await here.key("bound", Limits(concurrency=2, tokens_per_minute=10**6))

    async def is_answered(of: str, status: int) -> bool | None:
        return (await ask(here.ports[0], of)).status == status or None

    async def becomes(of: str, status: int) -> None:
        await eventually(lambda: is_answered(of, status), timeout_s=120, what=f"an answer with {status}")

    await becomes(key, OK)
    await becomes(limited, OK)
    await here.identity.end()
    await becomes(limited, 503)
    assert await is_answered(key, OK)
    await here.identity.start()
    await becomes(limited, OK)


async def test_limits_hold_over_two_gateways_whatever_dies(ground: IdentityGround) -> None:
    async with scene(ground) as here:
        await spend(here, "everyday", 300)
        await check_rates(here)
        await spend_while_processes_die(here, "deaths", 300)
        await check_absence(here)


@pytest.mark.slow
async def test_ten_thousand_requests_at_once_overspend_nothing(ground: IdentityGround) -> None:
    async with scene(ground) as here:
        print(await spend(here, "many", 10_000))
        print(await spend_while_processes_die(here, "many-deaths", 10_000))
