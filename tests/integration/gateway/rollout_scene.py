"""A running rollout as a gateway sees it: who speaks of it, the two versions, and what the gateway then says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import Captured
from libs.contracts.inference import RequestCompleted, ServedModel
from libs.contracts.rollouts import RequestObserved, Split, Splits
from libs.kit.bus import BusClient, Message
from libs.testkit.front import Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import ROUTES, Double, Work
from libs.testkit.wait import until

T = TypeVar("T")
GOOD: Final = "helpdesk@sha256:aaaaaaaaaaaa"
BAD: Final = "helpdesk@sha256:bbbbbbbbbbbb"
SPLIT: Final = Split(rollout="roll_1", names=("helpdesk",), step=2, share=0.5, candidate=BAD, baseline=GOOD)


def served(*names: str) -> tuple[ServedModel, ...]:
    """What a worker's beat says that serves these; the name itself is the last good version."""
    return tuple(ServedModel(name=name, version=name if "@" in name else GOOD, routes=ROUTES) for name in names)


def said(version: str, text: str) -> bytes:
    """A whole chat answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return msgspec.json.encode({"model": version, "choices": [choice]})


def version_of(work: Work) -> str:
    """What answers a request that a worker like `served` takes."""
    return work.envelope.model if "@" in work.envelope.model else GOOD


@dataclass
class Scene:
    """Speaks as the rollout service and hears every event of the gateway."""

    server: NatsServer
    front: Front
    double: Double
    observed: list[RequestObserved] = field(default_factory=list)
    completed: list[RequestCompleted] = field(default_factory=list)
    captured: list[Captured] = field(default_factory=list)
    _sequence: int = 0

    async def start(self) -> None:
        """Connect; both versions are served from here on."""
        self.speaker = BusClient(self.server.options("rollout"))
        self.ears = BusClient(self.server.options("provisioner"))
        self.ears.subscribe(subjects.OBSERVED, self._keeper(self.observed, RequestObserved))
        self.ears.subscribe(subjects.COMPLETED, self._keeper(self.completed, RequestCompleted))
        self.ears.subscribe(subjects.CAPTURED, self._keeper(self.captured, Captured))
        for bus in (self.speaker, self.ears):
            await bus.connect()
            await bus.flush()
        await self.serve("helpdesk", GOOD, BAD)

    async def stop(self) -> None:
        """Leave the bus."""
        await self.speaker.close()
        await self.ears.close()

    async def serve(self, *names: str) -> None:
        """The one worker serves these and no others."""
        self.double.beat(models=served(*names))
        targets = self.front.gateway.fleet
        await until(lambda: [one.model for one in targets.targets] == sorted(names), what="the beat")

    async def say(self, *splits: Split, epoch: int = 1) -> None:
        """Speak of the running rollouts, and return when the gateway has heard it."""
        self.tell(*splits, epoch=epoch)
        by_name = {name: split for split in splits for name in split.names}
        await until(lambda: self.front.gateway.divider.by_name == by_name, what="the splits")

    def tell(self, *splits: Split, epoch: int = 1) -> None:
        """Speak of them."""
        self._sequence += 1
        message = Splits(epoch=epoch, sequence=self._sequence, splits=splits)
        self.speaker.publish(subjects.SPLITS, msgspec.json.encode(message))

    async def settled(self) -> None:
        """Return when every event that the gateway has said is here, and nothing is mirrored any more."""
        gateway = self.front.gateway
        await until(lambda: not len(gateway.mirror) and not gateway.events.pending, what="every event")
        await self.ears.flush()

    def _keeper(self, into: list[T], kind: type[T]) -> Callable[[Message], None]:
        return lambda message: into.append(msgspec.json.decode(message.payload, type=kind))
