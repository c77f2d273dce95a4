"""A service that hangs as it is told to: `python hanging.py WAY`, on any settings of `SAMPLE_*`."""

import asyncio
import logging
import sys
import threading
import time
from functools import partial

from pydantic_settings import SettingsConfigDict

from libs.kit.process import run_service
from libs.kit.settings import ServiceSettings
from libs.kit.watchdog import THREAD
from libs.testkit.wait import until

LONG_S = 3_600.0
MORE_THAN_A_PIPE_HOLDS = 1 << 20


class Settings(ServiceSettings):
    """Those that all services have."""

    model_config = SettingsConfigDict(env_prefix="SAMPLE_")


def sleep_in_the_loop() -> None:
    """As a driver that is not made for event loops."""
    time.sleep(LONG_S)


def spin_in_the_loop() -> None:
    """As a loop of ours that does not end."""
    while True:
        pass


def write_in_the_loop() -> None:
    """Into a pipe that nobody reads, holding the lock of the log."""
    logging.getLogger("hanging").error("x" * MORE_THAN_A_PIPE_HOLDS)


def sleep_beside_the_loop() -> None:
    """Long work where it belongs."""
    threading.Thread(target=sleep_in_the_loop, name="beside", daemon=True).start()


WAYS = {
    "sleep": sleep_in_the_loop,
    "spin": spin_in_the_loop,
    "write": write_in_the_loop,
    "beside": sleep_beside_the_loop,
}


class Sample:
    """Serves until told to stop."""

    def __init__(self, way: str, _: Settings) -> None:
        self._way = way

    async def run(self, stop: asyncio.Event) -> None:
        """Begin, hang as soon as that is watched, and serve if it did not hang."""
        serving = asyncio.create_task(stop.wait())
        await until(lambda: THREAD in {thread.name for thread in threading.enumerate()}, timeout_s=60)
        WAYS[self._way]()
        await serving


if __name__ == "__main__":
    sys.exit(run_service("sample", Settings, partial(Sample, sys.argv[1])))
