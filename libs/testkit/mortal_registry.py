"""`python -m libs.testkit.mortal_registry STEP`: a registry that kills itself with signal 9 right after STEP."""

import asyncio
import os
import signal
import sys

from libs.kit.telemetry import configure_logging
from services.registry.app import build_app
from services.registry.settings import Settings


async def _serve(step: str) -> None:
    async def passed(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    await build_app(Settings(), passed).run(asyncio.Event())


def main() -> None:
    """Run until the step is reached."""
    configure_logging("registry")
    asyncio.run(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
