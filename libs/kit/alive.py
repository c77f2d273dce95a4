"""A file that is touched while a process serves: fresh, it has started and its event loop turns."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

EVERY_S: Final = 1.0


class StopRequest(asyncio.Event):
    """Set when the process is to end; a service that waits for it has started."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = asyncio.Event()

    async def wait(self) -> Literal[True]:
        """Return when the process is to end."""
        self.awaited.set()
        return await super().wait()


@contextlib.asynccontextmanager
async def keep_touching(file: Path | None, started: asyncio.Event) -> AsyncIterator[None]:
    """Touch `file` each second from `started` to the end of the block, then remove it; without a file do nothing."""
    if file is None:
        yield
        return
    _remove(file)
    task = asyncio.create_task(_touch(file, started), name="alive")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        _remove(file)


async def _touch(file: Path, started: asyncio.Event) -> None:
    await started.wait()
    while True:
        _refresh(file)
        await asyncio.sleep(EVERY_S)


def _refresh(file: Path) -> None:
    """In the loop itself, for that it does so is what the file tells; it costs some microseconds."""
    file.touch()


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
