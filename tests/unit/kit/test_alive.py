"""The file that says that a process serves: only from when it has started, only while its loop turns."""

import asyncio
import os
from pathlib import Path

from libs.kit import alive
from libs.kit.alive import StopRequest, keep_touching
from libs.testkit.wait import until


async def test_the_file_is_there_from_the_start_to_the_end_and_not_before(tmp_path: Path) -> None:
    file, stop = tmp_path / "alive", StopRequest()
    file.touch()
    async with keep_touching(file, stop.awaited):
        await asyncio.sleep(0)
        assert not file.exists(), "one of an earlier life says nothing"
        waiting = asyncio.create_task(stop.wait())
        await until(file.exists)
        os.utime(file, (1, 1))
        await until(lambda: file.stat().st_mtime > 1)
        stop.set()
        assert await waiting
    assert not file.exists()


async def test_without_a_file_nothing_is_touched() -> None:
    async with keep_touching(None, asyncio.Event()):
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "alive"]
    assert alive.EVERY_S < 5, "health checks call a file stale after fifteen seconds"
