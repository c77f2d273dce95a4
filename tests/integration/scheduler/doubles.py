"""A worker and a gateway that speak the real protocol on the real bus, and keep a history for the oracle."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import msgspec

from libs.contracts import frames, subjects
from libs.contracts.frames import Flag, Frame, retry_of
from libs.contracts.inference import (
    ATTEMPT_HEADER,
    CONNECTION_NAME_PREFIX,
    ENVELOPE_HEADER,
    Cancel,
    DirectWorkers,
    Envelope,
    FrameMeta,
    Handover,
    Released,
    Running,
    ServedModel,
    ServiceClass,
    WorkerBeat,
    WorkerState,
)
from libs.contracts.submission import run_headers
from libs.kit import clock
from libs.kit.bus import BusClient, Message, encode_headers, header_value, status_of
from libs.testkit.nats_server import NatsServer

ENVELOPE: Final = ENVELOPE_HEADER.encode()
ATTEMPT: Final = ATTEMPT_HEADER.encode()
BEAT_S: Final = 0.3

encode = msgspec.json.encode


@dataclass(frozen=True)
class Run:
    """One hand-over as a worker saw it."""

    envelope: Envelope
    attempt: int
    body: bytes
    reply: str

    @property
    def execution(self) -> Running:
        return Running(self.envelope.request_id, self.attempt)


class WorkerDouble:
    """Takes work as told by `mood`: `accept`, say nothing (`silent`), or refuse with the given reason."""

    def __init__(
        self,
        server: NatsServer,
        worker_id: str,
        *,
        capacity: int = 2,
        models: tuple[str, ...] = ("m",),
        pool: str = "default",
    ) -> None:
        self.id = worker_id
        self.pool = pool
        self.capacity = capacity
        self.models = tuple(ServedModel(name=name) for name in models)
        self.mood: Literal["accept", "silent", "full", "draining", "unknown_model", "invalid"] = "accept"
        self.finishes_at_once = True
        self.beating = True
        self.state = WorkerState.READY
        self.seen: list[Run] = []
        self.running: dict[Running, Run] = {}
        self.cancels: list[str] = []
        self.bus = BusClient(
            server.options("inference", f"{CONNECTION_NAME_PREFIX}{worker_id}", reconnect_max_s=0.1),
            on_state=lambda connected: self.beat() if connected else None,
        )
        self._released: list[Running] = []
        self._beats: asyncio.Task[None] | None = None

    async def start(self) -> "WorkerDouble":
        self.bus.subscribe(subjects.run(self.id), self._on_run)
        self.bus.subscribe(subjects.REPORT, lambda _: self.beat())
        self.bus.subscribe(subjects.ALL_CANCELS, self._on_cancel)
        await self.bus.connect()
        self._beats = asyncio.create_task(self._keep_beating())
        return self

    async def cut(self) -> None:
        """End the connection without a word, as a kill does."""
        assert self._beats is not None
        self.beating = False
        self._beats.cancel()
        await self.bus.close()

    def beat(self) -> None:
        if self.beating and self.bus.connected:
            self.bus.publish(
                subjects.beat(self.id),
                encode(
                    WorkerBeat(
                        worker=self.id,
                        name=self.id,
                        pool=self.pool,
                        state=self.state,
                        capacity=self.capacity,
                        models=self.models,
                        engine="double",
                        running=tuple(self.running),
                    )
                ),
            )

    def finish(self, request_id: str) -> None:
        """The engine is done with a request."""
        for execution in [one for one in self.running if one.request_id == request_id]:
            run = self.running.pop(execution)
            self.bus.publish(run.envelope.reply, frames.encode(Flag.HEAD | Flag.LAST, run.attempt, 1, b"", status=200))
            self._release(execution)

    def answer(self, run: Run, handover: Handover) -> None:
        self.bus.publish(run.reply, encode(handover))

    def accept(self, run: Run) -> None:
        """As a worker does: first the gateway, then the scheduler."""
        meta = frames.encode_meta(FrameMeta(worker=self.id))
        self.bus.publish(run.envelope.reply, frames.encode(Flag.ACCEPTED, run.attempt, 0, meta=meta))
        if not frames.is_direct(run.attempt):
            self.answer(run, Handover(accepted=True))
        self.running[run.execution] = run
        if self.finishes_at_once:
            asyncio.get_running_loop().call_soon(self.finish, run.envelope.request_id)

    def _on_run(self, message: Message) -> None:
        raw = header_value(message.headers, ENVELOPE)
        attempt = header_value(message.headers, ATTEMPT)
        assert raw is not None
        assert attempt is not None
        run = Run(msgspec.json.decode(raw, type=Envelope), int(attempt), message.payload, message.reply)
        self.seen.append(run)
        if self.mood == "accept" and len(self.running) >= self.capacity:
            self.answer(run, Handover(accepted=False, reason="full"))
        elif self.mood == "accept":
            self.accept(run)
        elif self.mood != "silent":
            self.answer(run, Handover(accepted=False, reason=self.mood))

    def _on_cancel(self, message: Message) -> None:
        request_id = message.subject.rpartition(".")[2]
        self.cancels.append(request_id)
        cancel = msgspec.json.decode(message.payload, type=Cancel)
        for execution in [one for one in self.running if one.request_id == request_id]:
            if cancel.attempt is None or execution.attempt == cancel.attempt:
                run = self.running.pop(execution)
                if cancel.by_operator:
                    meta = frames.encode_meta(FrameMeta(code="cancelled_by_operator", message="m"))
                    last = frames.encode(Flag.ERROR | Flag.LAST, run.attempt, 1, status=503, meta=meta)
                    self.bus.publish(run.envelope.reply, last)
                self._release(execution)

    def _release(self, execution: Running) -> None:
        if not self._released:
            asyncio.get_running_loop().call_soon(self._flush_released)
        self._released.append(execution)

    def _flush_released(self) -> None:
        ended, self._released = tuple(self._released), []
        self.bus.publish(subjects.released(self.id), encode(Released(self.id, ended)))

    async def _keep_beating(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)


@dataclass
class History:
    """Everything that a gateway heard of one request."""

    accepted: list[int] = field(default_factory=list)
    pinned: int | None = None
    worker: str = ""
    ends: list[Frame] = field(default_factory=list)
    """Frames that end the request as the client sees it: more than one is an error."""
    stored: bool = False
    sequence: int = 0
    """In the stream."""
    gone: bool = False
    """Whether it had left the stream at the last look."""
    retry: int = 0
    missing: int = 0


class GatewayDouble:
    """Submits requests, pins the first accepted execution, and submits again what was lost, as the gateway must."""

    def __init__(self, server: NatsServer, *, repairs: bool = False) -> None:
        self.id = clock.new_instance_id("g")
        self.histories: defaultdict[str, History] = defaultdict(History)
        self.lost_workers: list[str] = []
        self.named: list[tuple[str, ...]] = []
        """To whom gateways may turn, as schedulers have said one after the other."""
        self.refused: list[str] = []
        self.repairs = repairs
        self._submitted: dict[str, tuple[Envelope, float]] = {}
        options = server.options("gateway", reconnect_max_s=0.1)
        self.bus = BusClient(replace(options, inbox_prefix=subjects.call_inbox("gateway", "").rstrip(".")))

    async def start(self) -> "GatewayDouble":
        self.bus.subscribe(subjects.gateway_reply(self.id, "*"), self._on_frame)
        self.bus.subscribe(
            subjects.ALL_WORKERS_LOST,
            lambda message: self.lost_workers.append(msgspec.json.decode(message.payload)["worker"]),
        )
        self.bus.subscribe(
            subjects.ALL_DIRECT,
            lambda message: self.named.append(msgspec.json.decode(message.payload, type=DirectWorkers).workers),
        )
        if self.repairs:
            self.bus.subscribe(subjects.ALL_BEATS, self._on_beat)
        await self.bus.connect()
        return self

    def submit(
        self,
        service_class: ServiceClass = ServiceClass.STANDARD,
        *,
        model: str = "m",
        pool: str = "default",
        start_within_ms: int = 60_000,
        request_id: str = "",
        retry: int = 0,
        repeat: bool = False,
        express: bool = False,
        direct: str = "",
        traceparent: str = "",
    ) -> str:
        """Submit a request whose body is its id.

        `repeat` passes the check for duplicates, `express` the stream, `direct` the scheduler, to that worker.
        """
        request_id = request_id or clock.new_request_id()
        now_ms = clock.unix_ms()
        envelope = Envelope(
            request_id=request_id,
            reply=subjects.gateway_reply(self.id, request_id),
            route="/v1/completions",
            model=model,
            pool=pool,
            service_class=service_class,
            tenant="t",
            start_by_ms=now_ms + start_within_ms,
            deadline_ms=now_ms + 120_000,
            submitted_ms=now_ms,
            retry=retry,
            traceparent=traceparent,
        )
        if direct:
            headers = run_headers(encode(envelope), frames.direct_attempt(retry))
            self.bus.publish(subjects.run(direct), request_id.encode(), reply=envelope.reply, headers=headers)
        elif express:
            self.bus.publish(
                subjects.express(pool),
                request_id.encode(),
                reply=envelope.reply,
                headers=encode_headers([(ENVELOPE, encode(envelope))]),
            )
        else:
            self._publish(envelope, mark=":again" if repeat else "")
        return request_id

    def cancel(self, request_id: str, attempt: int | None = None) -> None:
        self.bus.publish(subjects.cancel(request_id), encode(Cancel(attempt)))

    def ended(self, request_id: str) -> bool:
        return bool(self.histories[request_id].ends)

    def end(self, request_id: str) -> Frame:
        """The one end of a request; fails the test if there were several."""
        ends = self.histories[request_id].ends
        assert len(ends) == 1, ends
        return ends[0]

    def submit_again_what_was_not_stored(self, older_than_s: float) -> None:
        """Repeat submissions whose acknowledgement is missing; the stream keeps one of them."""
        for request_id, (envelope, sent_s) in list(self._submitted.items()):
            history = self.histories[request_id]
            untouched = not history.stored and not history.accepted and not history.ends
            if untouched and clock.monotonic_s() - sent_s > older_than_s:
                self._publish(envelope)

    async def submit_again_what_left_the_stream(self) -> None:
        """Submit anew what a worker took without this gateway having heard of it; believed at the second look."""
        for request_id, history in list(self.histories.items()):
            if not history.stored or history.accepted or history.ends:
                continue
            question = encode({"seq": history.sequence})
            answer = await self.bus.request(subjects.SUBMITTED_GET, question, timeout_s=30)
            if not status_of(answer.headers) or history.accepted or history.ends:
                continue
            if history.gone:
                self._submit_anew(request_id, history)
            history.gone = not history.gone

    def _submit_anew(self, request_id: str, history: History) -> None:
        history.retry, history.pinned, history.worker, history.missing = history.retry + 1, None, "", 0
        history.stored = False
        history.accepted.clear()
        self._publish(msgspec.structs.replace(self._submitted[request_id][0], retry=history.retry))

    def _publish(self, envelope: Envelope, mark: str = "") -> None:
        self._submitted[envelope.request_id] = (envelope, clock.monotonic_s())
        headers = encode_headers(
            [(ENVELOPE, encode(envelope)), (b"Nats-Msg-Id", f"{envelope.request_id}:{envelope.retry}{mark}".encode())]
        )
        self.bus.publish(
            subjects.submit(envelope.pool, envelope.service_class),
            envelope.request_id.encode(),
            reply=envelope.reply,
            headers=headers,
        )

    def _on_frame(self, message: Message) -> None:
        request_id = message.subject.rpartition(".")[2]
        history = self.histories[request_id]
        if frames.is_publish_ack(message.payload):
            if b'"error"' in message.payload:
                self.refused.append(request_id)
            else:
                history.stored = True
                history.sequence = msgspec.json.decode(message.payload)["seq"]
            return
        if not message.payload:
            return
        frame = frames.decode(message.payload)
        if retry_of(frame.attempt) != history.retry:
            return
        if frame.flags & Flag.ACCEPTED:
            history.accepted.append(frame.attempt)
            if history.pinned is None and not history.ends:
                history.pinned, history.worker = frame.attempt, frame.meta.worker
            elif history.pinned != frame.attempt:
                self.cancel(request_id, frame.attempt)
        if frame.flags & Flag.LAST and history.pinned in (None, frame.attempt):
            history.ends.append(frame)

    def _on_beat(self, message: Message) -> None:
        """Accepted, but missing in two beats of its worker: lost there, so submit it again."""
        beat = msgspec.json.decode(message.payload, type=WorkerBeat)
        running = {run.request_id for run in beat.running}
        for request_id, history in self.histories.items():
            if history.worker != beat.worker or history.ends or history.pinned is None:
                continue
            history.missing = 0 if request_id in running else history.missing + 1
            if history.missing >= 2:
                self._submit_anew(request_id, history)


def executions(workers: list[WorkerDouble], request_id: str) -> list[tuple[str, int]]:
    """Every hand-over of a request: which worker, which attempt."""
    return [
        (worker.id, run.attempt) for worker in workers for run in worker.seen if run.envelope.request_id == request_id
    ]
