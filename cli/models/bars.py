"""Progress of long transfers: bars on a terminal's standard error, nothing elsewhere."""

from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from cli import ui

_TITLES: Final = {"hash": "hashing", "upload": "sending", "download": "fetching"}


class Bars:
    """One bar per step; may be called from any thread."""

    def __init__(self) -> None:
        columns = (TextColumn("  {task.description:<9}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=ui.err, transient=True, disable=not ui.err.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self.totals: dict[str, int] = {}
        """Bytes of each step that has begun."""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, step: str, done: int, total: int) -> None:
        """`done` of `total` bytes of `step`."""
        self.totals[step] = total
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(_TITLES[step], total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)
