"""What operators ask every service: its settings, and its dead letters where it may have some."""

import functools

from pydantic_settings import BaseSettings

from libs.contracts import effective, letters, subjects
from libs.contracts.calls import Empty
from libs.contracts.effective import Settings
from libs.kit.answering import Operation
from libs.kit.bus import BusClient
from libs.kit.bus_desk import BusDesk, Contract
from libs.kit.discovery import Discovery
from libs.kit.letters import DeadLetters
from libs.kit.shown_settings import shown


class OperatorsDesk:
    """Answers for one process; of several of a service one is asked."""

    def __init__(
        self, bus: BusClient, service: str, settings: BaseSettings, dead_letters: DeadLetters | None = None
    ) -> None:
        self._bus = bus
        self._letters = dead_letters
        self._told = Settings(service=service, settings=shown(settings))
        self._service = service
        self._desk: BusDesk | None = None

    def start(self, discovery: Discovery) -> None:
        """Listen, as `discovery` then shows."""
        operations: dict[str, Operation] = {"settings_show": self._show}
        contract = dict(effective.OPERATIONS)
        if self._letters is not None and self._letters.is_used:
            self._letters.start()
            operations |= self._letters.operations()
            contract |= letters.OPERATIONS
        service = self._service
        self._desk = BusDesk(
            self._bus,
            Contract(
                service=service,
                operations=contract,
                subject=functools.partial(subjects.service_call, service),
            ),
        )
        self._desk.listen(operations)
        discovery.offer(functools.partial(subjects.service_call, service), self._desk.tallies, queue_group=service)

    async def stop(self) -> None:
        """Let the calls that run be answered."""
        if self._desk is not None:
            await self._desk.stop()

    async def _show(self, _: Empty) -> Settings:
        return self._told
