"""Plays the scheduler and the gateway to a real worker: hands work over, collects frames, releases and beats."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from libs.contracts import subjects
from libs.contracts.frames import Flag, Frame, decode, direct_attempt, is_refusal, split
from libs.contracts.inference import (
    ATTEMPT_HEADER,
    ENVELOPE_HEADER,
    Cancel,
    Envelope,
    GatewayBeat,
    Handover,
    Released,
    Running,
    ServiceClass,
    WorkerBeat,
)
from libs.contracts.submission import run_headers
from libs.kit import clock
from libs.kit.bus import BusClient, Message, encode_headers
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until

GATEWAY = "g1"
_encode = msgspec.json.encode


def envelope(request_id: str = "", **more: object) -> Envelope:
    """An envelope as a gateway would send it."""
    request_id = request_id or clock.new_request_id()
    now_ms = clock.unix_ms()
    fields: dict[str, object] = {
        "request_id": request_id,
        "reply": subjects.gateway_reply(GATEWAY, request_id),
        "route": "/v1/chat/completions",
        "model": "helpdesk",
        "pool": "default",
        "service_class": ServiceClass.STANDARD,
        "tenant": "t1",
        "start_by_ms": now_ms + 30_000,
        "deadline_ms": now_ms + 60_000,
        "submitted_ms": now_ms,
    }
    return Envelope(**(fields | more))  # type: ignore[arg-type] # a test may overwrite any field


def chat(**more: object) -> bytes:
    """A chat request's body."""
    fields: dict[str, object] = {"model": "helpdesk", "messages": [{"role": "user", "content": "hello"}]}
    return _encode(fields | more)


@dataclass
class Answer:
    """What came back for one request."""

    frames: list[Frame] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """All bytes for the client."""
        return b"".join(frame.body for frame in self.frames)

    @property
    def ended(self) -> bool:
        """Whether the last frame is here."""
        return bool(self.frames) and bool(self.frames[-1].flags & Flag.LAST)

    @property
    def last(self) -> Frame:
        """The last frame."""
        assert self.ended
        return self.frames[-1]


class Double:
    """Plays the scheduler and the gateway: hands work over, collects frames, releases and beats."""

    def __init__(self, server: NatsServer) -> None:
        self.gateway = BusClient(server.options("gateway"))
        self.scheduler = BusClient(server.options("scheduler", inbox_prefix=subjects.scheduler_reply("s1", "handover")))  # type: ignore[arg-type]
        self.answers: dict[str, Answer] = {}
        self.refusals: dict[str, Handover] = {}
        """Of what was handed over without a scheduler."""
        self.released: list[Running] = []
        self.beats: list[WorkerBeat] = []
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and listen."""
        await self.gateway.connect()
        await self.scheduler.connect()
        self.gateway.subscribe(subjects.gateway_reply(GATEWAY, "*"), self._on_frame)
        self.scheduler.subscribe(subjects.ALL_RELEASED, self._on_released)
        self.scheduler.subscribe(subjects.ALL_BEATS, self._on_beat)
        await self.gateway.flush()
        await self.scheduler.flush()
        self.beat_as_gateway()

    def beat_as_gateway(self) -> None:
        """Beat from here on, as a living gateway does."""

        async def beat() -> None:
            while True:
                self.gateway.publish(subjects.gateway_beat(GATEWAY), _encode(GatewayBeat(GATEWAY)))
                await asyncio.sleep(0.5)

        self._beating = asyncio.create_task(beat())

    async def fall_silent(self) -> None:
        """Stop beating."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    async def stop(self) -> None:
        """Leave the bus."""
        await self.fall_silent()
        await self.gateway.close()
        await self.scheduler.close()

    async def hand_over(self, worker: str, env: Envelope, body: bytes, attempt: int = 1) -> Handover:
        """What the scheduler does with one request."""
        headers = encode_headers(
            ((ENVELOPE_HEADER.encode(), _encode(env)), (ATTEMPT_HEADER.encode(), str(attempt).encode()))
        )
        reply = await self.scheduler.request(subjects.run(worker), body, headers=headers, timeout_s=5)
        return msgspec.json.decode(reply.payload, type=Handover)

    def hand_over_directly(self, worker: str, env: Envelope, body: bytes) -> None:
        """What a gateway does with one request while nothing waits."""
        headers = run_headers(_encode(env), direct_attempt(env.retry))
        self.gateway.publish(subjects.run(worker), body, reply=env.reply, headers=headers)

    async def run(self, worker: str, env: Envelope, body: bytes, attempt: int = 1, timeout_s: float = 10) -> Answer:
        """Hand over and wait for the last frame."""
        assert (await self.hand_over(worker, env, body, attempt)).accepted
        answer = self.answers.setdefault(env.request_id, Answer())
        await until(lambda: answer.ended, timeout_s=timeout_s, what=f"the end of {env.request_id}")
        return answer

    async def frames(self, request_id: str, count: int) -> Answer:
        """Wait for the first `count` frames of a request."""
        answer = self.answers.setdefault(request_id, Answer())
        await until(lambda: len(answer.frames) >= count, what=f"{count} frames of {request_id}")
        return answer

    def cancel(self, request_id: str, attempt: int | None = None, *, by_operator: bool = False) -> None:
        """What the gateway does when the client is gone, or a scheduler for an operator."""
        self.gateway.publish(subjects.cancel(request_id), _encode(Cancel(attempt, by_operator)))

    def report(self) -> None:
        """Ask for beats."""
        self.scheduler.publish(subjects.REPORT)

    async def beat_where(self, condition: Callable[[WorkerBeat], bool], timeout_s: float = 60) -> WorkerBeat:
        """Wait for a beat."""
        await until(lambda: any(condition(beat) for beat in self.beats), timeout_s=timeout_s, what="a beat")
        return next(beat for beat in reversed(self.beats) if condition(beat))

    def _on_frame(self, message: Message) -> None:
        request_id = message.subject.split(".")[3]
        if is_refusal(message.payload):
            self.refusals[request_id] = msgspec.json.decode(message.payload, type=Handover)
            return
        if request_id != subjects.SEVERAL:
            self.answers.setdefault(request_id, Answer()).frames.append(decode(message.payload))
            return
        for each, start, end in split(message.payload):
            self.answers.setdefault(each, Answer()).frames.append(decode(message.payload, start, end))

    def _on_released(self, message: Message) -> None:
        self.released.extend(msgspec.json.decode(message.payload, type=Released).ended)

    def _on_beat(self, message: Message) -> None:
        beat = msgspec.json.decode(message.payload, type=WorkerBeat)
        self.beats.append(beat)
