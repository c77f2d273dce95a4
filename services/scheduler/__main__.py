"""`python -m services.scheduler`: serve until SIGTERM or SIGINT."""

import asyncio
import signal

import uvloop

from libs.kit.telemetry import configure_logging
from services.scheduler.app import build_app
from services.scheduler.settings import Settings


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await build_app(settings).run(stop)


def main() -> None:
    """Run one scheduler process."""
    settings = Settings()
    configure_logging("scheduler", level=settings.log_level)
    uvloop.run(_serve(settings))


if __name__ == "__main__":
    main()
