"""Hears everything on the bus and passes it to the pool that it concerns."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.inference import Cancel, Handover, Released, WorkerBeat, WorkerState
from libs.kit.bus import BusClient, Message, status_of
from services.scheduler.dispatcher import Dispatcher
from services.scheduler.domain.recent import BY_OPERATOR, Recent

log = structlog.get_logger(__name__)

_decode_beat: Final = msgspec.json.Decoder(WorkerBeat).decode
_decode_released: Final = msgspec.json.Decoder(Released).decode
_decode_cancel: Final = msgspec.json.Decoder(Cancel).decode
_decode_handover: Final = msgspec.json.Decoder(Handover).decode
_ACCEPTED: Final = Handover(accepted=True)
_ACCEPTED_JSON: Final = msgspec.json.encode(_ACCEPTED)
"""What many answers are, so that they need not be parsed."""
_SEPARATOR: Final = "-"
_QUEUE_GROUP: Final = "scheduler"
"""Of several schedulers of one pool, one hears each request that comes past the stream."""


def token_prefix(pool_number: int) -> str:
    """What every token of a pool begins with, so that an answer finds its pool."""
    return f"{pool_number}{_SEPARATOR}"


class Handlers:
    """Subscriptions of one scheduler process that serves `dispatchers`."""

    def __init__(
        self,
        bus: BusClient,
        instance: str,
        dispatchers: Sequence[Dispatcher],
        called_off: Recent,
        hear: Callable[[WorkerBeat], None],
    ) -> None:
        """Prepare; `hear` is told every beat, of whatever pool."""
        self._bus = bus
        self._instance = instance
        self._dispatchers = dispatchers
        self._by_pool = {dispatcher.pool: dispatcher for dispatcher in dispatchers}
        self._homes: dict[str, Dispatcher] = {}
        """Worker id to its pool's dispatcher."""
        self._called_off = called_off
        self._hear = hear

    def subscribe(self) -> None:
        """Listen; survives reconnects."""
        self._bus.subscribe(subjects.scheduler_reply(self._instance, "*"), self._on_answer)
        self._bus.subscribe(subjects.ALL_RELEASED, self._on_released)
        self._bus.subscribe(subjects.ALL_BEATS, self._on_beat)
        self._bus.subscribe(subjects.ALL_CANCELS, self._on_cancel)
        for dispatcher in self._dispatchers:
            self._bus.subscribe(subjects.express(dispatcher.pool), dispatcher.on_express, queue=_QUEUE_GROUP)

    def on_disconnect(self, worker_id: str) -> bool:
        """The server says that a worker's connection ended; False if it is not one of ours."""
        return any(dispatcher.suspect(worker_id) for dispatcher in self._dispatchers)

    def _on_answer(self, message: Message) -> None:
        token = message.subject.rpartition(".")[2]
        if not message.payload and status_of(message.headers):
            dispatcher, token = self._asker(token)
            dispatcher.on_deaf(token)
            return
        answer = _ACCEPTED if message.payload == _ACCEPTED_JSON else _read(_decode_handover, message)
        if answer is None:
            return
        for each in (token, *answer.also):
            dispatcher, token = self._asker(each)
            dispatcher.on_answer(token, answer)

    def _asker(self, token: str) -> tuple[Dispatcher, str]:
        """Who made the offer of this token, and its own name for it."""
        number, _, rest = token.partition(_SEPARATOR)
        return self._dispatchers[int(number)], rest

    def _on_released(self, message: Message) -> None:
        released = _read(_decode_released, message)
        if released is not None and (home := self._homes.get(released.worker)) is not None:
            home.on_released(released)

    def _on_beat(self, message: Message) -> None:
        beat = _read(_decode_beat, message)
        if beat is None:
            return
        if message.subject != subjects.beat(beat.worker) or not subjects.is_token(beat.worker) or beat.capacity < 0:
            log.error("beat does not fit its subject", subject=message.subject, worker=beat.worker)
            return
        self._hear(beat)
        home, old = self._by_pool.get(beat.pool), self._homes.get(beat.worker)
        if old is not None and old is not home:
            old.lose(beat.worker, "moved")
            del self._homes[beat.worker]
        if home is None:
            return
        home.on_beat(beat)
        if beat.state is WorkerState.STOPPED:
            self._homes.pop(beat.worker, None)
        else:
            self._homes[beat.worker] = home

    def _on_cancel(self, message: Message) -> None:
        cancel = _read(_decode_cancel, message) if message.payload else Cancel()
        # One execution is the worker's to end; it was accepted, so nothing of it waits here.
        if cancel is None or cancel.attempt is not None:
            return
        request_id = message.subject.rpartition(".")[2]
        by_operator = cancel.by_operator
        if not any(dispatcher.cancel(request_id, by_operator=by_operator) for dispatcher in self._dispatchers):
            # Perhaps it has not come out of the stream yet.
            self._called_off.add(request_id, BY_OPERATOR if by_operator else 0)


def _read(decode: Callable[[bytes], Any], message: Message) -> Any:
    """The decoded payload, or None if it is not what its subject promises."""
    try:
        return decode(message.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.error("message cannot be read", subject=message.subject, reason=str(error))
        return None
