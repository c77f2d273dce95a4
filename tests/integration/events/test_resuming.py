"""A subscriber that is cut off and resumes, at any gateway, while publishers are killed: nothing lost or twice."""

import asyncio
import itertools
import json
import signal
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from libs.testkit.events import PATIENCE_S, EventsGround, say
from libs.testkit.front import Front, running, settings_for
from libs.testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Subscriber:
    """Listens by server-sent events; after so many it drops what else has come and goes on at the next gateway."""

    def __init__(self, fronts: list[Front], each: int) -> None:
        self._fronts = itertools.cycle(fronts)
        self._each = each
        self.heard: list[str] = []
        self.positions: list[int] = []
        self.last_id = "0"
        self.cuts = 0

    async def listen(self) -> None:
        """Go on for ever."""
        while True:
            await self._once(next(self._fronts))
            self.cuts += 1

    async def _once(self, front: Front) -> None:
        headers = {"last-event-id": self.last_id}
        timeout = httpx2.Timeout(PATIENCE_S)
        goal = len(self.heard) + self._each
        async with front.http.stream("GET", "/v1/events", headers=headers, timeout=timeout) as answer:
            assert answer.status_code == 200
            block: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    block[name] = value
                    continue
                assert "event" not in block, block
                # An event counts when its block is whole, as in every client.
                if "data" in block:
                    self.heard.append(json.loads(block["data"])["id"])
                    self.positions.append(int(block["id"]))
                self.last_id = block.get("id", self.last_id)
                block = {}
                if len(self.heard) == goal:
                    return


@pytest.mark.parametrize(("count", "kills"), [(500, 1), pytest.param(10_000, 5, marks=pytest.mark.slow)])
async def test_every_event_comes_once(ground: EventsGround, tmp_path: Path, count: int, kills: int) -> None:
    expected = [ground.completed(number) for number in range(count)]
    foreign = [ground.completed(number, "beta") for number in range(count // 10)]
    process = ground.process(batch=100)
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    async with (
        running(settings_for(ground.nats, places[0])) as one,
        running(settings_for(ground.nats, places[1])) as two,
    ):
        for front in (one, two):
            gateway = front.gateway
            await until(lambda gateway=gateway: gateway.bus.connected, timeout_s=PATIENCE_S)  # type: ignore[misc]
        subscriber = Subscriber([one, two], count // 40)
        task = asyncio.create_task(subscriber.listen())
        await say(ground.nats, foreign)
        for step in range(kills):
            await process.start()
            part = expected[step * count // kills : (step + 1) * count // kills]
            await say(ground.nats, part)
            goal = len(subscriber.heard) + len(part) // 4
            await until(lambda goal=goal: len(subscriber.heard) >= goal, timeout_s=PATIENCE_S)  # type: ignore[misc]
            await process.end(signal.SIGKILL)
        await process.start()
        await until(lambda: len(subscriber.heard) >= count, timeout_s=2 * PATIENCE_S, what="every event")
        # Whatever comes twice or wrongly would come before this.
        last = ground.completed(count)
        expected.append(last)
        await say(ground.nats, [last])
        await until(lambda: last.id in subscriber.heard, timeout_s=2 * PATIENCE_S, what="the last event")
        await process.end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    found = Counter(subscriber.heard)
    lost = {each.id for each in expected} - set(found)
    twice = [each for each, times in found.items() if times > 1]
    print(
        f"{count} events, {kills} publishers killed, {subscriber.cuts} times cut off:"
        f" {len(lost)} lost, {len(twice)} twice"
    )
    assert (lost, twice) == (set(), [])
    assert subscriber.positions == sorted(subscriber.positions)
    assert set(found) == {each.id for each in expected}
    assert subscriber.cuts >= 40
