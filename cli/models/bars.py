"""Progress of long transfers: bars on a terminal's standard error, nothing elsewhere."""

from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from cli import ui
from cli.models.show import size

_TITLES: Final = {"hash": "hashing", "upload": "sending", "commit": "checking", "download": "fetching"}


class _Amount(ProgressColumn):
    """How much of how much, and how fast; nothing where nobody knows."""

    def render(self, task: Task) -> Text:
        """The text beside one bar."""
        if task.total is None:
            return Text("")
        fast = f"  {size(int(task.speed))}/s" if task.speed else ""
        return Text(f"{size(int(task.completed))} of {size(int(task.total))}{fast}")


class Bars:
    """One bar per step; may be called from any thread."""

    def __init__(self) -> None:
        columns = (TextColumn("  {task.description:<9}"), BarColumn(), _Amount())
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
        """`done` of `total` bytes of `step`; a total of 0 is one that nobody knows."""
        self.totals[step] = total
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(_TITLES[step], total=total or None)
        self._progress.update(self._tasks[step], completed=done, total=total or None)
