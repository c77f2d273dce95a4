"""The bus side of the worker: takes work, gives credits back, beats, cancels, drains."""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.frames import is_direct
from libs.contracts.inference import (
    ATTEMPT_HEADER,
    ENVELOPE_HEADER,
    Cancel,
    Envelope,
    FrameMeta,
    Handover,
    Running,
    WorkerBeat,
    WorkerState,
)
from libs.kit import clock
from libs.kit.bus import BusClient, BusError, Message, header_value
from libs.kit.waiting import set_within
from services.inference import spans
from services.inference.acceptances import Acceptances
from services.inference.engine import Engine
from services.inference.execution import Execution, Stop, Surroundings
from services.inference.gateways import BEAT_S, Gateways
from services.inference.metrics import Metrics, Sights
from services.inference.offer import Offer
from services.inference.outbox import Outbox
from services.inference.table import Table

log = structlog.get_logger(__name__)

_ENVELOPE: Final = ENVELOPE_HEADER.encode()
_ATTEMPT: Final = ATTEMPT_HEADER.encode()
_MAX_ATTEMPT: Final = 0xFFFF_FFFF
_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_cancel = msgspec.json.Decoder(Cancel).decode
_encode = msgspec.json.Encoder().encode


class Worker:
    """Answers for one engine on the bus, from `start` until `drain` has returned."""

    def __init__(
        self,
        engine: Engine,
        bus: BusClient,
        *,
        identity: "Identity",
        metrics: Metrics,
        frame_interval_s: float = 0.0,
        offer: Offer | None = None,
    ) -> None:
        self.drain_requested = asyncio.Event()
        self._engine = engine
        self._bus = bus
        self._identity = identity
        self._metrics = metrics
        self._capacity = identity.capacity or engine.capacity
        self._offer = offer or Offer(engine.models)
        self._state = WorkerState.READY
        self._sequence = 0
        self._table = Table()
        self._acceptances = Acceptances(bus)
        self._gateways = Gateways()
        self._outbox = Outbox(bus, identity.id, interval_s=frame_interval_s)
        self._surroundings = Surroundings(engine, self._outbox, self._on_end)
        self._idle = asyncio.Event()
        self._idle.set()
        self._beats: asyncio.Task[None] | None = None
        self._offer.on_change = self._beat
        metrics.watch(self._sights())

    def _sights(self) -> Sights:
        offer = self._offer
        return Sights(
            running=lambda: len(self._table),
            capacity=lambda: self._capacity,
            frames=lambda: self._outbox.frames,
            names=lambda: len(offer.models),
            adapters=lambda: len({model.version for model in offer.models if model.adapter}),
            missing=lambda: len(offer.missing),
        )

    def start(self) -> None:
        """Listen and announce; the bus may be away, everything is kept until it is there."""
        worker = self._identity.id
        self._bus.subscribe(subjects.run(worker), self._on_run)
        self._bus.subscribe(subjects.ALL_CANCELS, self._on_cancel)
        self._bus.subscribe(subjects.drain(worker), lambda _: self.drain_requested.set())
        self._bus.subscribe(subjects.REPORT, lambda _: self._beat())
        self._bus.subscribe(subjects.ALL_GATEWAY_BEATS, lambda message: self._gateways.heard(_token(message, 2)))
        self._beats = asyncio.create_task(self._keep_beating(), name="beats")

    def on_bus_state(self, connected: bool) -> None:  # noqa: FBT001 - the bus client's callback
        """The bus came or went."""
        log.info("bus", connected=connected)
        if connected:
            self._gateways.restart()
            self._beat()

    def uses(self, version: str) -> bool:
        """Whether an execution runs in the engine under this name."""
        return any(execution.envelope.model == version for execution in self._table)

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, let what runs finish within `timeout_s`, end the rest with an error, say goodbye."""
        self._change(WorkerState.DRAINING)
        if not await set_within(self._idle, timeout_s):
            log.warning("drain timed out", running=len(self._table))
            await self._stop_all(Stop.SHUTDOWN)
        await self._leave()

    async def die(self) -> None:
        """The engine is dead: end everything with an error and say goodbye."""
        self._change(WorkerState.STOPPED)
        await self._stop_all(Stop.ENGINE_DEAD)
        await self._leave()

    # Taking work

    def _on_run(self, message: Message) -> None:
        try:
            envelope = _decode_envelope(header_value(message.headers, _ENVELOPE) or b"")
            attempt = _attempt_of(message)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("unreadable work", error=str(error))
            self._answer(message, Handover(accepted=False, reason="invalid"))
            return
        twin = self._table.twin(envelope.request_id, attempt)
        if twin is not None:
            # The answer to the first hand-over was lost on its way; running it again would do the work twice.
            self._acceptances.repeat("" if is_direct(attempt) else message.reply)
            if twin.running.attempt != attempt:
                self._outbox.release(Running(envelope.request_id, attempt))
            return
        refusal = self._refusal(envelope)
        if refusal:
            if refusal == "full":
                self._count_all()
            self._answer(message, Handover(accepted=False, reason=refusal))
            return
        self._take(envelope, attempt, message)

    def _refusal(self, envelope: Envelope) -> str:
        if self._state is not WorkerState.READY:
            return "draining"
        if len(self._table) >= self._capacity:
            return "full"
        if envelope.model not in self._offer.versions:
            return "unknown_model"
        return "" if subjects.is_gateway_reply(envelope.reply) else "invalid"

    def _take(self, envelope: Envelope, attempt: int, message: Message) -> None:
        for old in self._table.of(envelope.request_id):
            # The gateway has given that retry up and drops its frames.
            old.stop(Stop.UNWANTED)
        version = self._offer.versions[envelope.model]
        span = None
        if envelope.traceparent:
            span = spans.begin(envelope, attempt=attempt, version=version, worker=self._identity.id)
        # From here on the request keeps this version, wherever its name moves.
        pinned = self._offer.engine_name(envelope.model)
        if pinned != envelope.model:
            envelope = msgspec.structs.replace(envelope, model=pinned)
        execution = Execution(self._surroundings, envelope, attempt, message.payload, span)
        direct = is_direct(attempt)
        execution.is_counted = not direct
        meta = FrameMeta(
            worker=self._identity.id,
            worker_name=self._identity.name,
            model_version=version,
            queue_ms=max(0, clock.unix_ms() - envelope.submitted_ms),
        )
        self._acceptances.add(execution, meta, "" if direct else message.reply)
        self._table.add(execution)
        self._idle.clear()

    def _count_all(self) -> None:
        """Schedulers get to know of all that runs here, so that each end is room that they may wait for."""
        for execution in self._table:
            execution.is_counted = True

    def _answer(self, message: Message, handover: Handover) -> None:
        if message.reply:
            self._bus.publish(message.reply, _encode(handover))

    def _on_end(self, execution: Execution) -> None:
        self._table.remove(execution)
        self._metrics.ended(execution.outcome, clock.monotonic_s() - execution.accepted_s)
        if not self._table:
            self._idle.set()

    def _on_cancel(self, message: Message) -> None:
        executions = self._table.of(_token(message, 3))
        if not executions:
            return
        cancel = _decode_cancel(message.payload) if message.payload else Cancel()
        reason = Stop.OPERATOR if cancel.by_operator else Stop.CANCELLED
        for execution in executions:
            if cancel.attempt is None or execution.running.attempt == cancel.attempt:
                execution.stop(reason)

    # Beats and silence

    async def _keep_beating(self) -> None:
        while True:
            self._beat()
            await asyncio.sleep(BEAT_S)
            if self._bus.connected:
                self._stop_unheard()

    def _beat(self) -> None:
        if not self._bus.connected:
            return
        # Whoever reads that an execution runs no longer must have had its last frame.
        self._outbox.flush()
        self._count_all()
        self._sequence += 1
        beat = WorkerBeat(
            worker=self._identity.id,
            name=self._identity.name,
            pool=self._identity.pool,
            state=self._state,
            capacity=self._capacity,
            models=self._offer.models,
            engine=self._engine.description,
            running=self._table.running(),
            sequence=self._sequence,
            revision=self._offer.revision,
            missing=self._offer.missing,
            base=self._offer.base,
            deployment_error=self._offer.error,
        )
        try:
            self._bus.publish(subjects.beat(self._identity.id), _encode(beat))
        except BusError as error:
            log.warning("beat lost", error=str(error))

    def _stop_unheard(self) -> None:
        silent = self._gateways.silent((execution.gateway, execution.accepted_s) for execution in self._table)
        for execution in self._table:
            if execution.gateway in silent:
                log.warning("gateway is silent", gateway=execution.gateway, request=execution.running.request_id)
                execution.stop(Stop.UNWANTED)
        self._gateways.forget({execution.gateway for execution in self._table})

    # Ending

    def _change(self, state: WorkerState) -> None:
        self._state = state
        self._beat()

    async def _stop_all(self, reason: Stop) -> None:
        executions = list(self._table)
        for execution in executions:
            execution.stop(reason)
        await asyncio.gather(*(execution.ended() for execution in executions))

    async def _leave(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
        self._outbox.flush()
        self._change(WorkerState.STOPPED)
        try:
            await self._bus.flush()
        except BusError as error:
            log.warning("the bus did not hear the goodbye", error=str(error))


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who this worker is."""

    id: str
    """Of this run of this process."""
    name: str
    pool: str
    capacity: int
    """0: what the engine says."""


def _token(message: Message, index: int) -> str:
    """One word of the subject."""
    return message.subject.split(".")[index]


def _attempt_of(message: Message) -> int:
    attempt = int(header_value(message.headers, _ATTEMPT) or b"")
    if not 0 <= attempt <= _MAX_ATTEMPT:
        raise ValueError(f"attempt {attempt} is out of range")
    return attempt
