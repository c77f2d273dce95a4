"""What a process lacks: seen, asked, in time, and no more often than is good for who is asked."""

import asyncio
import contextlib

import pytest
from nats.errors import ConnectionClosedError

from libs.kit.bus import BusUnavailableError
from libs.kit.errors import ServiceError
from libs.kit.health import Finding, Health
from libs.testkit.wait import until


class _Store:
    """Answers until it is told to fail."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked = 0

    async def answers(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


async def test_nothing_is_looked_at_before_somebody_asks() -> None:
    looked: list[str] = []
    store = _Store()
    health = Health(fresh_s=0)

    def is_there() -> bool:
        looked.append("nats")
        return False

    health.see("nats", is_there)
    health.ask("database", store.answers)
    assert (looked, store.asked) == ([], 0)
    finding = await health.look()
    assert (looked, store.asked) == (["nats"], 1)
    assert finding == Finding(missing=("nats",))
    assert not finding.is_ready


async def test_what_is_not_needed_does_not_keep_a_process_from_its_work() -> None:
    health = Health()
    health.see("feedback", lambda: False, needed=False)
    health.see("nats", lambda: True)
    finding = await health.look()
    assert finding.is_ready
    assert finding.lacks == finding.degraded == ("feedback",)
    assert health.depends == ("feedback", "nats")


@pytest.mark.parametrize(
    "failure",
    [
        ServiceError("storage_unavailable", "away"),
        BusUnavailableError("away"),
        ConnectionClosedError(),
        OSError("away"),
        TimeoutError(),
        ZeroDivisionError("a mistake in the question itself"),
    ],
)
async def test_a_thing_that_fails_is_missing_until_it_answers_again(failure: Exception) -> None:
    store = _Store()
    health = Health(fresh_s=0)
    health.ask("database", store.answers)
    store.failure = failure
    assert (await health.look()).missing == ("database",)
    store.failure = None
    assert (await health.look()).is_ready


async def test_a_thing_that_never_answers_is_missing_and_holds_up_nobody() -> None:
    health = Health(patience_s=0.01)
    health.ask("database", asyncio.Event().wait)
    health.see("nats", lambda: True)
    async with asyncio.timeout(30):
        assert (await health.look()).missing == ("database",)


async def test_a_thing_that_cannot_be_broken_off_holds_up_nobody_either() -> None:
    begun, ended, gate = [0], [0], asyncio.Event()

    async def stubborn() -> None:
        begun[0] += 1
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
        ended[0] += 1

    health = Health(patience_s=0.01, fresh_s=0)
    health.ask("database", stubborn)
    async with asyncio.timeout(30):
        for _ in range(3):
            assert (await health.look()).missing == ("database",)
    assert begun == [1], "it is not asked again before it has ended"
    gate.set()
    await until(lambda: ended[0] == 1)
    assert (await health.look()).is_ready


async def test_many_who_ask_at_once_are_one_question() -> None:
    store = _Store()
    health = Health(fresh_s=3_600)
    health.ask("database", store.answers)
    findings = await asyncio.gather(*(health.look() for _ in range(50)))
    assert set(findings) == {Finding()}
    assert store.asked == 1


async def test_who_stops_waiting_does_not_spoil_the_next_question() -> None:
    gate = asyncio.Event()
    health = Health(patience_s=30, fresh_s=0)
    health.ask("database", gate.wait)
    impatient = asyncio.create_task(health.look())
    await asyncio.sleep(0)
    impatient.cancel()
    assert isinstance((await asyncio.gather(impatient, return_exceptions=True))[0], asyncio.CancelledError)
    gate.set()
    assert (await health.look()).is_ready


def test_a_name_stands_for_one_thing() -> None:
    health = Health()
    health.see("nats", lambda: True)
    with pytest.raises(ValueError, match="nats"):
        health.ask("nats", asyncio.Event().wait)
