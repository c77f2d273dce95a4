"""What every step of the demo needs, and how customers come and go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.mission import plans
from cli.mission.ledger import Ledger
from cli.mission.platform import Platform
from cli.mission.questions import QUESTIONS, Heard
from cli.mission.view import View
from deploy.local.errors import StackError
from libs.contracts.registry import Version
from libs.contracts.training import Job
from services.trainer.study.customers import Rated
from services.trainer.study.door import NoAnswerError, Troubles
from services.trainer.study.live import Judged, LiveTraffic
from services.trainer.study.served_desk import ServedDesk

AT_ONCE = 8
"""Customers in a rollout; as many as the engine answers without a queue."""


@dataclass
class Scene:
    """A running platform, and what has come of the demo so far."""

    url: str
    """The gateway's root, without `/v1`."""
    key: str
    name: str
    """Under which the desk is asked."""
    folder: Path
    """Where the demo may write."""
    platform: Platform
    ask: Callable[[str], str]
    """Asks one question as any client would, and shows question and answer."""
    view: View = field(default_factory=View)
    ledger: Ledger = field(default_factory=Ledger)
    troubles: Troubles = field(default_factory=Troubles)
    """Of all customers together."""
    unanswered: int = 0

    async def heard(self) -> list[Heard]:
        """The demo's own questions, asked now."""
        return [Heard(one, await asyncio.to_thread(self.ask, one.text)) for one in QUESTIONS]

    @contextlib.asynccontextmanager
    async def desk(
        self, temperature: float | None, told: Callable[[], None] = lambda: None
    ) -> AsyncIterator[ServedDesk]:
        """The served desk, as customers find it.

        Raises:
            StackError: it did not answer a customer, however often it was asked.
        """
        desk = ServedDesk(self.url, self.key, self.name, temperature=temperature, told=told)
        try:
            yield desk
        except NoAnswerError as error:
            raise StackError(f"A customer got no answer: {error}", "See: ./llmos status, ./llmos logs") from error
        finally:
            self.troubles.lost += desk.troubles.lost
            self.troubles.busy += desk.troubles.busy
            await desk.close()

    @contextlib.asynccontextmanager
    async def customers(self, seed: int) -> AsyncIterator[LiveTraffic]:
        """Live traffic for as long as the block lasts; what ends it early is raised.

        Raises:
            StackError: hardly anybody was answered.
        """

        def told(one: Judged) -> None:
            self.ledger.note(one.version, one.topic, up=one.up)

        async with self.desk(None) as desk:
            live = LiveTraffic(desk, plans.VISITING, seed, at_once=AT_ONCE, told=told)
            coming = asyncio.create_task(live.run())
            try:
                yield live
            finally:
                await _called_off(coming)
        lost = sum(live.unanswered.values())
        self.unanswered += lost
        if live.asked and lost > live.asked / 2:
            reason = live.unanswered.most_common(1)[0][0]
            raise StackError(f"{lost} of {live.asked} live customers got no answer: {reason}", "See: ./llmos logs")


async def _called_off(task: "asyncio.Task[None]") -> None:
    """Ends a task that runs for ever; one that had ended by itself raises why."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@dataclass(frozen=True)
class Lesson:
    """What the customers' judgements led to."""

    since_ms: int
    rated: Sequence[Rated]
    base: Version
    dataset: str
    exam: Path
    version: str
    """The adapter that was made of them."""
    report: Job
    """Its evaluation."""
