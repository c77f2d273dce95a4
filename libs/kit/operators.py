"""What operators ask every service: its settings, its dead letters where it may have some, and to log more or less."""

import functools
from collections.abc import Mapping
from typing import Protocol

from pydantic_settings import BaseSettings

from libs.contracts import effective, letters, subjects
from libs.contracts.calls import Empty
from libs.contracts.effective import Settings
from libs.kit.answering import Operation
from libs.kit.bus import BusClient
from libs.kit.bus_desk import BusDesk, Contract
from libs.kit.discovery import Discovery
from libs.kit.running_settings import RunningSettings


class LetterKeeper(Protocol):
    """Whoever keeps the dead letters of a service."""

    @property
    def is_used(self) -> bool:
        """Whether anything is taken in that could be a dead letter."""

    def start(self) -> None:
        """Begin."""

    async def page(self, wanted: letters.FindLetters) -> letters.LetterPage:
        """Dead letters, oldest first."""

    async def show(self, wanted: letters.LetterPlace) -> letters.Letter:
        """One dead letter, without its words."""

    async def read(self, wanted: letters.LetterPlace) -> letters.LetterText:
        """One dead letter, with its words."""

    async def replay(self, wanted: letters.LetterPlace) -> letters.Letter:
        """Take one in, as if it came once more, and forget it."""

    async def drop(self, wanted: letters.LetterPlace) -> letters.Letter:
        """Forget one for good."""


class ProcessDesk:
    """Answers what one process is asked by itself, and no other one hears."""

    def __init__(self, bus: BusClient, service: str, instance: str, settings: RunningSettings) -> None:
        self._subject = functools.partial(subjects.process_call, service, instance)
        contract = Contract(service=service, operations=effective.PROCESS_OPERATIONS, subject=self._subject)
        self._desk = BusDesk(bus, contract, shared=False)
        self._settings = settings

    def start(self, discovery: Discovery | None = None) -> None:
        """Listen, as `discovery` then shows."""
        self._desk.listen({"log_level": self._settings.change})
        if discovery is not None:
            discovery.offer(self._subject, self._desk.tallies)

    async def stop(self) -> None:
        """Let the calls that run be answered."""
        await self._desk.stop()


class OperatorsDesk:
    """Answers for one process; of what concerns the whole service one of several is asked."""

    def __init__(
        self,
        bus: BusClient,
        service: str,
        settings: RunningSettings,
        *,
        instance: str,
        dead_letters: LetterKeeper | None = None,
    ) -> None:
        self._bus = bus
        self.letters = dead_letters
        """Who keeps the dead letters; may be replaced before `start`."""
        self._settings = settings
        self._service = service
        self._process = ProcessDesk(bus, service, instance, settings)
        self._desk: BusDesk | None = None

    def start(self, discovery: Discovery | None = None) -> None:
        """Listen, as `discovery` then shows."""
        operations: dict[str, Operation] = {"settings_show": self._show}
        contract = dict(effective.OPERATIONS)
        if self.letters is not None and self.letters.is_used:
            self.letters.start()
            operations |= _letter_operations(self.letters)
            contract |= letters.OPERATIONS
        subject = functools.partial(subjects.service_call, self._service)
        self._desk = BusDesk(self._bus, Contract(service=self._service, operations=contract, subject=subject))
        self._desk.listen(operations)
        if discovery is not None:
            discovery.offer(subject, self._desk.tallies, queue_group=self._service)
        self._process.start(discovery)

    async def stop(self) -> None:
        """Let the calls that run be answered."""
        await self._process.stop()
        if self._desk is not None:
            await self._desk.stop()

    async def _show(self, _: Empty) -> Settings:
        return self._settings.told()


def _letter_operations(keeper: LetterKeeper) -> Mapping[str, Operation]:
    return {
        "letter_list": keeper.page,
        "letter_show": keeper.show,
        "letter_read": keeper.read,
        "letter_replay": keeper.replay,
        "letter_drop": keeper.drop,
    }


def operators_desk(
    bus: BusClient,
    service: str,
    settings: BaseSettings,
    *,
    instance: str,
    dead_letters: LetterKeeper | None = None,
) -> OperatorsDesk:
    """The desk of a process that has one connection for as long as it lives."""
    running = RunningSettings(service, instance, settings)
    return OperatorsDesk(bus, service, running, instance=instance, dead_letters=dead_letters)
