"""A service on the real bus that answers as the test says and remembers what it was asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from libs.contracts import audit, feedback, registry, rollouts, scheduling, subjects, training, webhooks
from libs.contracts.calls import Fault, Reply
from libs.kit.bus import BusClient, Message
from libs.testkit.nats_server import NatsServer

Answer = msgspec.Struct | Fault | bytes | None
OPERATIONS = {
    "registry": registry.OPERATIONS,
    "feedback": feedback.OPERATIONS,
    "trainer": training.OPERATIONS,
    "rollout": rollouts.OPERATIONS,
    "events": webhooks.OPERATIONS,
    "audit": audit.OPERATIONS,
    "scheduler": scheduling.OPERATIONS,
}
CALLS = {
    "registry": subjects.ALL_REGISTRY_CALLS,
    "feedback": subjects.ALL_FEEDBACK_CALLS,
    "trainer": subjects.ALL_TRAINER_CALLS,
    "rollout": subjects.ALL_ROLLOUT_CALLS,
    "events": subjects.ALL_EVENTS_CALLS,
    "audit": subjects.ALL_AUDIT_CALLS,
    "scheduler": subjects.ALL_SCHEDULER_CALLS,
}


@dataclass
class ServiceDouble:
    """Answers `answers[operation]`: a result, a fault, raw bytes, a function of the request, or nothing for None."""

    server: NatsServer
    answers: dict[str, Answer | Callable[[Any], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    service: str = "registry"

    async def start(self) -> None:
        self.bus = BusClient(self.server.options(self.service))
        self.bus.subscribe(CALLS[self.service], self._on_call, queue=self.service)
        await self.bus.connect()
        await self.bus.flush()

    async def stop(self) -> None:
        await self.bus.close()

    def _on_call(self, message: Message) -> None:
        operation = message.subject.rpartition(".")[2]
        request = msgspec.json.decode(message.payload, type=OPERATIONS[self.service][operation][0])
        self.asked.append((operation, request))
        answer = self.answers[operation]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Fault):
            answer = msgspec.json.encode(Reply(error=answer))
        elif isinstance(answer, msgspec.Struct):
            answer = msgspec.json.encode(Reply(result=msgspec.Raw(msgspec.json.encode(answer))))
        if answer is not None:
            self.bus.publish(message.reply, answer)
