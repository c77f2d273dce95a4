"""After an outage: what left the stream unheard is submitted again, and nothing else is."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from libs.contracts import subjects
from libs.kit.bus import BusTimeoutError, Message
from libs.testkit.wait import until
from services.gateway.doubts import Doubts
from services.gateway.inflight import UNPINNED

HERE = Message("rpl", "", b"NATS/1.0\r\nNats-Sequence: 7\r\n\r\n", b"body")
GONE = Message("rpl", "", b"NATS/1.0 404 Message Not Found\r\n\r\n", b"")
BUSY = Message("rpl", "", b"NATS/1.0 408 Bad Request\r\n\r\n", b"")


class Waiting:
    """As much of a request in flight as is looked at."""

    def __init__(self, sequence: int = 7) -> None:
        self.envelope = SimpleNamespace(retry=0)
        self.attempt, self.ended, self.stored_seq = UNPINNED, False, sequence


class Bus:
    """Answers with what a test has put there, the last again and again."""

    def __init__(self, *answers: Message | BusTimeoutError, on_ask: Callable[[int], None] = lambda _: None) -> None:
        self.answers, self.asked, self.on_ask = list(answers), 0, on_ask

    async def request(self, subject: str, payload: bytes, *, timeout_s: float) -> Message:
        self.asked += 1
        assert (subject, msgspec.json.decode(payload), timeout_s > 0) == (subjects.SUBMITTED_GET, {"seq": 7}, True)
        self.on_ask(self.asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BusTimeoutError):
            raise answer
        return answer


class Relay:
    """Remembers what was lost, and submits it again as the relay does."""

    def __init__(self, *requests: Waiting) -> None:
        self._requests = list(requests)
        self.lost: list[Waiting] = []

    def requests(self) -> list[Waiting]:
        return self._requests

    def lose(self, inflight: Waiting, why: str, *, dead: bool) -> None:
        assert not dead, "no worker is to blame"
        assert "bus" in why
        inflight.envelope.retry += 1
        self.lost.append(inflight)


async def settled(bus: Bus, relay: Relay) -> None:
    doubts = Doubts(bus, relay, pause_s=0.001)  # type: ignore[arg-type] # doubles
    doubts.begin()
    await until(lambda: len(doubts) == 0)
    await doubts.stop()


async def test_what_is_in_the_stream_waits() -> None:
    bus, relay = Bus(HERE), Relay(Waiting())
    await settled(bus, relay)
    assert (bus.asked, relay.lost) == (1, [])


async def test_what_has_left_it_is_believed_the_second_time() -> None:
    request = Waiting()
    bus, relay = Bus(GONE), Relay(request)
    await settled(bus, relay)
    assert (bus.asked, relay.lost) == (2, [request])


async def test_an_acceptance_that_was_on_its_way_clears_the_doubt() -> None:
    request = Waiting()

    def accepted(asked: int) -> None:
        if asked == 2:
            request.attempt = 65_536

    bus, relay = Bus(GONE, on_ask=accepted), Relay(request)
    await settled(bus, relay)
    assert (bus.asked, relay.lost) == (2, [])


@pytest.mark.parametrize("trouble", [BUSY, BusTimeoutError("no answer")])
async def test_a_stream_that_does_not_say_is_asked_again(trouble: Any) -> None:
    bus, relay = Bus(trouble, trouble, trouble, HERE), Relay(Waiting())
    await settled(bus, relay)
    assert (bus.asked, relay.lost) == (4, [])


async def test_what_is_not_known_to_be_stored_is_not_asked_for() -> None:
    known, unknown = Waiting(), Waiting(sequence=0)
    bus, relay = Bus(HERE), Relay(known, unknown)
    doubts = Doubts(bus, relay, pause_s=0.001)  # type: ignore[arg-type] # doubles
    doubts.begin()
    await until(lambda: len(doubts) == 1)
    assert bus.asked == 1
    unknown.stored_seq = 7
    await until(lambda: len(doubts) == 0)
    assert (bus.asked, relay.lost) == (2, [])


async def test_a_fault_ends_no_other_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, relay = Bus(GONE), Relay(Waiting(), Waiting())
    lose, faults = relay.lose, [RuntimeError("once")]

    def fail_once(inflight: Waiting, why: str, *, dead: bool) -> None:
        if faults:
            raise faults.pop()
        lose(inflight, why, dead=dead)

    monkeypatch.setattr(relay, "lose", fail_once)
    await settled(bus, relay)
    assert len(relay.lost) == 2


async def test_answered_requests_are_not_doubted() -> None:
    answered, ended = Waiting(), Waiting()
    answered.attempt, ended.ended = 65_536, True
    doubts = Doubts(Bus(GONE), Relay(answered, ended))  # type: ignore[arg-type] # doubles
    doubts.begin()
    assert len(doubts) == 0
