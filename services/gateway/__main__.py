"""`python -m services.gateway`: serve until told to stop."""

import asyncio
import sys

from libs.kit.process import BAD_SETTINGS, WRONG_SETTINGS, refused, spare_collector
from libs.kit.starting import CANNOT_START, StartError, knock, why
from libs.kit.telemetry import configure_logging
from libs.kit.telemetry.tracing import configure_tracing, stop_tracing
from services.gateway.app import build_app
from services.gateway.identity import KeyFileError
from services.gateway.server import Server, listen
from services.gateway.settings import Settings


def main() -> int:
    """Read the environment, serve, and return the exit status."""
    try:
        settings = Settings()  # type: ignore[call-arg] # the environment fills it
        configure_logging("gateway", level=settings.log_level)
        gateway = build_app(settings)
    except WRONG_SETTINGS as error:
        print(refused("gateway", error), file=sys.stderr)  # noqa: T201 - logging is not configured yet
        return BAD_SETTINGS
    except (KeyFileError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201 - logging is not configured yet
        return BAD_SETTINGS
    configure_tracing("gateway", settings.tracing)
    try:
        asyncio.run(knock(settings.nats))
        listener = listen(settings)
    except (StartError, OSError) as error:
        print(why("gateway", settings, error) or f"gateway: {error}", file=sys.stderr)  # noqa: T201 - as above
        return CANNOT_START
    server = Server(gateway)
    spare_collector()
    server.run(sockets=[listener])
    stop_tracing()
    return 0


if __name__ == "__main__":
    sys.exit(main())
