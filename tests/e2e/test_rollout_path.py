"""Two versions behind one name, with the real scheduler and real workers: divided, mirrored, and one of them killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import msgspec
import pytest_asyncio

from libs.contracts import subjects
from libs.contracts.inference import RequestCompleted, WorkerBeat
from libs.contracts.rollouts import RequestObserved, Split, Splits
from libs.kit.bus import BusClient, Message
from libs.kit.sticky import is_candidates
from libs.testkit.platform import Platform
from libs.testkit.wait import eventually, until

GOOD = "helpdesk@sha256:fa4efa4efa4e"
CANDIDATE = "tone@sha256:fa4efa4efa4e"
SPLIT = Split(rollout="roll_1", names=("helpdesk",), step=0, share=0.5, candidate=CANDIDATE, baseline=GOOD)
SLOW = "pace-10ms"


@dataclass
class Rollout:
    """Speaks for the rollout service, again and again as it does, and hears what the gateway says."""

    platform: Platform
    http: httpx2.AsyncClient
    split: Split | None = None
    observed: list[RequestObserved] = field(default_factory=list)
    completed: list[RequestCompleted] = field(default_factory=list)
    busy: bool = False
    """Whether the candidate's worker runs anything."""

    async def speak(self) -> None:
        bus = BusClient(self.platform.nats.options("rollout"))
        await bus.connect()
        sequence = 0
        try:
            while True:
                sequence += 1
                splits = (self.split,) if self.split is not None else ()
                bus.publish(subjects.SPLITS, msgspec.json.encode(Splits(epoch=1, sequence=sequence, splits=splits)))
                await asyncio.sleep(0.2)
        finally:
            await bus.close()

    def hear(self, message: Message) -> None:
        if message.subject == subjects.OBSERVED:
            self.observed.append(msgspec.json.decode(message.payload, type=RequestObserved))
        elif message.subject == subjects.COMPLETED:
            self.completed.append(msgspec.json.decode(message.payload, type=RequestCompleted))
        elif (beat := msgspec.json.decode(message.payload, type=WorkerBeat)).name == "worker-2":
            self.busy = bool(beat.running)

    async def ask(self, episode: str, *, tokens: int = 8, user: str = "") -> httpx2.Response:
        body = {"model": "helpdesk", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": tokens}
        headers = {"x-llmos-episode": episode}
        return await self.http.post("/v1/chat/completions", json=body | {"user": user}, headers=headers)

    async def heeded(self, version: str) -> None:
        """Return when the gateway sends episodes of the candidate's to `version`."""
        episode = next(f"e{n}" for n in range(100) if is_candidates("roll_1", f"episode:e{n}", 0.5))

        async def look() -> bool | None:
            return (await self.ask(episode)).headers.get("x-llmos-model-version") == version or None

        await eventually(look, timeout_s=60, what=f"answers by {version}")


@pytest_asyncio.fixture(loop_scope="session")
async def rollout(own_platform: Platform) -> AsyncIterator[Rollout]:
    own_platform.model_name = "tone"
    own_platform.start("worker-2")
    ears = BusClient(own_platform.nats.options("provisioner"))
    headers = {"authorization": f"Bearer {own_platform.api_key}"}
    async with httpx2.AsyncClient(base_url=own_platform.url, headers=headers, timeout=60) as http:
        rollout = Rollout(own_platform, http)
        for subject in (subjects.OBSERVED, subjects.COMPLETED, subjects.ALL_BEATS):
            ears.subscribe(subject, rollout.hear)
        await ears.connect()
        speaking = asyncio.create_task(rollout.speak())
        yield rollout
        speaking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await speaking
        await ears.close()


async def test_divided_mirrored_and_killed(rollout: Rollout) -> None:
    rollout.split = SPLIT
    await rollout.heeded(CANDIDATE)
    episodes = [f"e{number % 20}" for number in range(60)]
    answers = await asyncio.gather(*(rollout.ask(episode) for episode in episodes))
    expected = [CANDIDATE if is_candidates("roll_1", f"episode:{one}", 0.5) else GOOD for one in episodes]
    assert [answer.headers["x-llmos-model-version"] for answer in answers] == expected
    assert [answer.json()["model"] for answer in answers] == expected

    rollout.split = msgspec.structs.replace(SPLIT, share=1.0, shadow=True, step=1)
    await rollout.heeded(GOOD)
    answers = await asyncio.gather(*(rollout.ask(f"m{number}") for number in range(10)))
    assert {answer.headers["x-llmos-model-version"] for answer in answers} == {GOOD}
    await until(lambda: len([one for one in rollout.observed if one.mirror]) >= 10, timeout_s=60, what="the mirror")
    mirrored = [one for one in rollout.observed if one.mirror]
    assert {(one.model_version, one.outcome, one.agreement is None) for one in mirrored} == {(CANDIDATE, "ok", False)}
    assert not {one.request_id for one in mirrored} & {one.request_id for one in rollout.completed}

    rollout.split = msgspec.structs.replace(SPLIT, share=1.0, step=2)
    await rollout.heeded(CANDIDATE)
    already = len(rollout.observed)
    asked = [asyncio.create_task(rollout.ask(f"k{number}", tokens=300, user=SLOW)) for number in range(6)]
    await until(lambda: rollout.busy, timeout_s=60, what="the candidate runs requests")
    rollout.platform.kill("worker-2")
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * 6
    versions = [answer.headers["x-llmos-model-version"] for answer in answers]
    # One may have ended before the kill on a machine that stalls.
    assert set(versions) <= {GOOD, CANDIDATE}
    assert all(
        answer.json()["model"] in (version, "helpdesk") for answer, version in zip(answers, versions, strict=True)
    )
    await rollout.heeded(GOOD)
    assert all(one.arm == "candidate" for one in rollout.observed[already:])
