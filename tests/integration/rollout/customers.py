"""Customers of a real gateway, and workers that answer them: what a loop lives on when nothing of it is invented."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Final

import httpx2
import msgspec

from libs.contracts.inference import ServedModel, ServiceClass, WorkerBeat
from libs.kit import clock
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import EVENTS, ROUTES, Double, Work
from libs.testkit.wait import eventually, until
from tests.integration.registry.followers import Follower, Followers

PATIENCE_S: Final = 240.0
PAUSE_S: Final = 0.1
AT_ONCE: Final = 6
TIMEOUT_S: Final = 15.0
CHAT: Final = "/v1/chat/completions"
FEEDBACK: Final = "/v1/feedback"


class Serving(Follower):
    """A follower that says under which names it answers, as a real worker does."""

    def beat(self) -> WorkerBeat:
        said = super().beat()
        names = self.told.names if self.told is not None else {}
        versions = {**{one.name: one.name for one in said.models}, **names}
        offered = {one.name for one in said.models}
        models = [
            ServedModel(name=name, version=version, routes=ROUTES)
            for name, version in versions.items()
            if version in offered
        ]
        return msgspec.structs.replace(said, models=tuple(models))


@dataclass
class Desk:
    """Answers everything that was submitted; questions of class batch wait while `holds`."""

    double: Double
    crowd: Followers
    holds: bool = False
    held: list[Work] = field(default_factory=list)
    asked: int = 0
    """Questions of class batch so far."""

    def take(self, work: Work) -> None:
        """Answer it, or keep it."""
        if work.envelope.service_class is ServiceClass.BATCH:
            self.asked += 1
            if self.holds:
                self.held.append(work)
                return
        self.answer(work)

    def release(self) -> None:
        """Answer what was kept, and keep nothing any more."""
        self.holds = False
        while self.held:
            self.answer(self.held.pop(0))

    def answer(self, work: Work) -> None:
        """As the version that was asked for."""
        worker = self.crowd.workers[0]
        named = worker.told.names if worker.told is not None else {}
        version = named.get(work.envelope.model, work.envelope.model)
        body = msgspec.json.decode(work.body)
        text = f"So it is: {body['messages'][-1]['content']}"
        ident = f"chatcmpl-{work.envelope.request_id}"
        work.accept(worker.worker, version=version)
        if body.get("stream"):
            work.head(_events(ident, version, text), EVENTS)
            work.last()
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        content = msgspec.json.encode({"id": ident, "model": version, "choices": [choice]})
        work.head(content, "application/json")
        work.last()


def _events(ident: str, version: str, text: str) -> bytes:
    """A whole streamed answer."""
    chunk: dict[str, Any] = {"id": ident, "object": "chat.completion.chunk", "created": 1, "model": version}
    said = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    lines = [b"data: " + msgspec.json.encode({**chunk, "choices": [one]}) + b"\n\n" for one in (said, end)]
    return b"".join(lines) + b"data: [DONE]\n\n"


@dataclass
class Customers:
    """Ask and judge; what gets no answer is sent again, a judgement under the same key."""

    http: httpx2.AsyncClient
    model: str
    asked: int = 0
    judged: int = 0
    """Judgements that were confirmed, each once however often it was sent."""
    repeats: int = 0

    async def ask(self, question: str) -> str:
        """The id of an answer."""
        self.asked += 1
        body = {"model": self.model, "messages": [{"role": "user", "content": question}]}
        answer = await self._sent(CHAT, body, {"x-llmos-episode": f"episode-{self.asked}"})
        return str(answer.json()["id"])

    async def judge(self, answer: str, tag: str) -> None:
        """A thumb up, by a customer of its own."""
        key = clock.new_event_id()
        body = {"inference_id": answer, "kind": "thumb", "value": True, "rater": f"user-{answer}", "tags": [tag]}
        await self._sent(FEEDBACK, body, {"idempotency-key": key})
        self.judged += 1

    async def _sent(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx2.Response:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    answer = await self.http.post(path, json=body, headers=headers)
                    if answer.status_code < 300:
                        return answer
                    assert answer.status_code >= 429, answer.text
                except httpx2.TransportError:
                    self.repeats += 1
                await asyncio.sleep(PAUSE_S)

    @asynccontextmanager
    async def flow(self) -> AsyncIterator[None]:
        """Some of them ask and judge, one after the other, until the block ends."""
        stop = asyncio.Event()

        async def one() -> None:
            while not stop.is_set():
                await self.judge(await self.ask("How are you?"), "live")

        tasks = [asyncio.create_task(one()) for _ in range(AT_ONCE)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)


@asynccontextmanager
async def served(nats: NatsServer, crowd: Followers) -> AsyncIterator[Desk]:
    """Workers that answer, in the place of those that only follow."""
    crowd.workers = [Serving(**{one.name: getattr(old, one.name) for one in fields(old)}) for old in crowd.workers]
    double = Double(nats)
    desk = Desk(double, crowd)
    double.on_work = desk.take
    await double.start()
    try:
        yield desk
    finally:
        desk.release()
        await double.stop()


@asynccontextmanager
async def customers(url: str, key: str, model: str) -> AsyncIterator[Customers]:
    """Customers who are known to a gateway, as soon as it serves the model."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http:

        async def is_served() -> bool | None:
            answer = await http.get("/v1/models")
            return model in {one["id"] for one in answer.json()["data"]} or None

        await eventually(is_served, timeout_s=PATIENCE_S, what=f"{model} is served")
        yield Customers(http, model)


async def holds(desk: Desk, count: int) -> None:
    """Return when so many questions are held."""
    await until(lambda: len(desk.held) >= count, timeout_s=PATIENCE_S, what=f"{count} questions of an evaluation")
