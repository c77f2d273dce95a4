"""`python -m services.trainer`: serve until SIGTERM or SIGINT."""

import asyncio
import signal

import uvloop

from libs.kit.telemetry import configure_logging
from services.trainer.app import build_app
from services.trainer.settings import Settings


async def serve(settings: Settings) -> None:
    """Run one process until it is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await build_app(settings).run(stop)


def main() -> None:
    """Run one trainer."""
    settings = Settings()
    configure_logging("trainer", level=settings.log_level)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
