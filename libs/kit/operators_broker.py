"""Answers what operators ask a service whose one connection to the bus is FastStream's."""

import functools
from typing import Final

from faststream.nats import NatsBroker
from pydantic_settings import BaseSettings

from libs.contracts import effective, subjects
from libs.contracts.calls import Empty
from libs.contracts.effective import Settings
from libs.kit.discovery import Discovery
from libs.kit.running_settings import RunningSettings
from libs.kit.serving import Desk

_SHOW: Final = "settings_show"


def answer_operators(
    broker: NatsBroker, service: str, settings: BaseSettings, *, instance: str, discovery: Discovery
) -> None:
    """Answer from when the broker starts, as `discovery` then shows."""
    running = RunningSettings(service, instance, settings)

    async def show(_: Empty) -> Settings:
        return running.told()

    of_service = functools.partial(subjects.service_call, service)
    of_process = functools.partial(subjects.process_call, service, instance)
    for desk, operations in (
        (Desk(name=service, contract=effective.OPERATIONS, subject=of_service), {_SHOW: show}),
        (Desk(name=service, contract=effective.PROCESS_OPERATIONS, subject=of_process), {"log_level": running.change}),
    ):
        calls = desk.subscribe(broker, operations)
        discovery.offer(desk.subject, calls.tallies, queue_group=service)
