"""A double that plays scheduler and worker on the real bus, frame by frame, so that a test decides what goes wrong.

The real scheduler and worker meet the real gateway in `tests/e2e`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.frames import Flag, encode, encode_meta, make_attempt
from libs.contracts.inference import (
    ENVELOPE_HEADER,
    Cancel,
    DirectWorkers,
    Envelope,
    FrameMeta,
    Handover,
    Running,
    ServedModel,
    ServiceClass,
    Usage,
    WorkerBeat,
    WorkerLost,
    WorkerState,
)
from libs.contracts.topology import CMD_INFERENCE, scheduler_durable
from libs.kit.bus import BusClient, Message, PullConsumer, PulledMessage, header_value
from libs.testkit.nats_server import NatsServer

EVENTS: Final = "text/event-stream; charset=utf-8"
VERSION: Final = "helpdesk@sha256:0123456789ab"
ROUTES: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/tokenize")
HELPDESK: Final = ServedModel(name="helpdesk", version=VERSION, routes=ROUTES)
USAGE: Final = Usage(prompt_tokens=3, completion_tokens=2)


@dataclass
class Work:
    """One submitted request, in the hands of the test: each method sends the worker's next frame."""

    double: "Double"
    envelope: Envelope
    body: bytes
    headers: bytes
    delivery: int
    dispatch: int = 0
    seq: int = 0

    @property
    def attempt(self) -> int:
        """The number of this execution."""
        return make_attempt(self.envelope.retry, self.delivery, self.dispatch)

    @property
    def running(self) -> Running:
        """As a beat lists it."""
        return Running(self.envelope.request_id, self.attempt)

    def again(self) -> "Work":
        """The same request, executed a second time."""
        return Work(self.double, self.envelope, self.body, self.headers, self.delivery, self.dispatch + 1)

    def send(self, flags: int, body: bytes = b"", *, status: int = 0, meta: FrameMeta | None = None) -> None:
        """Any frame at all."""
        raw = encode_meta(meta) if meta is not None else b""
        payload = encode(flags, self.attempt, self.seq, body, status=status, meta=raw)
        self.double.worker_bus.publish(self.envelope.reply, payload)
        self.seq += 1

    def accept(self, worker: str = "w1", *, version: str = VERSION) -> None:
        """The request is taken, by `version`."""
        self.send(
            Flag.ACCEPTED, meta=FrameMeta(worker=worker, worker_name="worker-0", model_version=version, queue_ms=7)
        )

    def head(self, body: bytes = b"", content_type: str = EVENTS, status: int = 200) -> None:
        """The answer begins."""
        self.send(Flag.HEAD, body, status=status, meta=FrameMeta(content_type=content_type))

    def more(self, body: bytes) -> None:
        """Bytes in the middle."""
        self.send(0, body)

    def last(self, body: bytes = b"") -> None:
        """The answer ends well."""
        self.send(Flag.LAST, body, meta=FrameMeta(usage=USAGE))

    def fail(self, code: str, message: str = "no", param: str = "") -> None:
        """The answer ends badly."""
        self.send(Flag.ERROR | Flag.LAST, status=500, meta=FrameMeta(code=code, message=message, param=param))

    def refuse(self, reason: str = "full") -> None:
        """The worker does not take it."""
        refusal = msgspec.json.encode(Handover(accepted=False, reason=reason))
        self.double.worker_bus.publish(self.envelope.reply, refusal)

    def answer(self, body: bytes = b'{"ok":true}', *, version: str = VERSION, status: int = 200) -> None:
        """A whole answer, as a worker sends it for a request that is not streamed."""
        self.accept(version=version)
        meta = FrameMeta(content_type="application/json", usage=USAGE)
        self.send(Flag.HEAD | Flag.LAST, body, status=status, meta=meta)


@dataclass
class Double:
    """Scheduler and worker in one; work waits in a queue until the test takes it with `next`."""

    server: NatsServer
    work: asyncio.Queue[Work] = field(default_factory=asyncio.Queue)
    cancels: list[tuple[str, int | None]] = field(default_factory=list)
    """Request ids and attempts that were called off."""
    gateway_beats: list[str] = field(default_factory=list)
    reports_asked: int = 0
    on_work: Callable[[Work], None] | None = None
    """Answers by itself where a test sets it."""
    _beats: int = 0

    async def start(self) -> None:
        """Connect and begin to pull."""
        self.scheduler_bus = BusClient(self.server.options("scheduler"), on_state=self._on_state)
        self.worker_bus = BusClient(self.server.options("inference"))
        self._pulls: list[PullConsumer] = []
        self.worker_bus.subscribe(subjects.ALL_CANCELS, self._on_cancel)
        self.worker_bus.subscribe(subjects.ALL_GATEWAY_BEATS, self._on_gateway_beat)
        self.worker_bus.subscribe(subjects.REPORT, self._on_report)
        await self.scheduler_bus.connect()
        await self.worker_bus.connect()
        self.pull()
        await self.scheduler_bus.flush()
        await self.worker_bus.flush()

    def pull(self) -> None:
        """Take what comes and what waits."""
        self._pulls = [self._pull(service_class) for service_class in ServiceClass]
        for pull in self._pulls:
            pull.start()

    async def stop_pulling(self) -> None:
        """Leave what comes from now on in the stream."""
        for pull in self._pulls:
            await pull.stop()
        self._pulls.clear()

    async def stop(self) -> None:
        """Leave the bus."""
        await self.stop_pulling()
        await self.scheduler_bus.close()
        await self.worker_bus.close()

    def beat(
        self,
        worker: str = "w1",
        *,
        state: WorkerState = WorkerState.READY,
        running: tuple[Running, ...] = (),
        models: tuple[ServedModel, ...] = (HELPDESK,),
    ) -> None:
        """Say that `worker` lives."""
        self._beats += 1
        beat = WorkerBeat(
            worker=worker,
            name="worker-0",
            pool="default",
            state=state,
            capacity=8,
            models=models,
            engine="double",
            running=running,
            sequence=self._beats,
        )
        self.worker_bus.publish(subjects.beat(worker), msgspec.json.encode(beat))

    def announce_loss(self, worker: str = "w1") -> None:
        """Say, as a scheduler, that `worker` is dead."""
        lost = msgspec.json.encode(WorkerLost(worker, "killed"))
        self.scheduler_bus.publish(subjects.worker_lost("double"), lost)

    def hear_runs(self, worker: str = "w1") -> None:
        """Take what gateways hand to `worker` themselves."""
        self.worker_bus.subscribe(subjects.run(worker), self._on_run)

    def name_direct(self, *workers: str, scheduler: str = "double") -> None:
        """Say, as a scheduler, to whom gateways may turn."""
        named = msgspec.json.encode(DirectWorkers(scheduler, "default", workers))
        self.scheduler_bus.publish(subjects.direct("default"), named)

    async def next(self) -> Work:
        """The next submitted request."""
        return await asyncio.wait_for(self.work.get(), 10)

    def _pull(self, service_class: ServiceClass) -> PullConsumer:
        return PullConsumer(
            self.scheduler_bus,
            stream=CMD_INFERENCE.name,
            durable=scheduler_durable("default", service_class),
            inbox=subjects.scheduler_reply("double", f"pull-{service_class}"),
            handler=self._on_work,
        )

    def _on_state(self, connected: bool) -> None:  # noqa: FBT001 - the bus client's callback
        if connected:
            for pull in self._pulls:
                pull.restart()

    def _on_work(self, pulled: PulledMessage) -> None:
        self.scheduler_bus.publish(pulled.ack_subject, b"+ACK")
        self._take(pulled.message, pulled.delivery)

    def _on_run(self, message: Message) -> None:
        self._take(message, 0)

    def _take(self, message: Message, delivery: int) -> None:
        raw = header_value(message.headers, ENVELOPE_HEADER.encode())
        assert raw is not None
        envelope = msgspec.json.decode(raw, type=Envelope)
        work = Work(self, envelope, message.payload, message.headers, delivery)
        if self.on_work is not None:
            self.on_work(work)
        else:
            self.work.put_nowait(work)

    def _on_cancel(self, message: Message) -> None:
        request_id = message.subject.rpartition(".")[2]
        self.cancels.append((request_id, msgspec.json.decode(message.payload, type=Cancel).attempt))

    def _on_gateway_beat(self, message: Message) -> None:
        self.gateway_beats.append(message.subject)

    def _on_report(self, _: Message) -> None:
        self.reports_asked += 1
