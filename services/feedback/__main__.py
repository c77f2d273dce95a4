"""`python -m services.feedback`: serve until SIGTERM or SIGINT."""

import asyncio
import gc
import signal
from typing import Final

import uvloop

from libs.kit.telemetry import configure_logging
from services.feedback.app import build_app
from services.feedback.settings import Settings

_GARBAGE: Final = 100_000
"""Objects made before the collector looks for cycles among the young: more than a batch makes."""


async def serve(settings: Settings) -> None:
    """Run one process until it is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = build_app(settings)
    # What was built so far lives as long as the process: the collector need not walk it again and again, nor look for
    # cycles among the rows of every batch.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    await app.run(stop)


def main() -> None:
    """Run one feedback process."""
    settings = Settings()
    configure_logging("feedback", level=settings.log_level)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
