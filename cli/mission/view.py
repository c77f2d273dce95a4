"""How the demo shows where it is: a bar while a step lasts, one line when it is over."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli import show, ui
from libs.kit.clock import monotonic_s

_TITLE_WIDTH = 44


@dataclass(frozen=True)
class Took:
    """One step that is over."""

    title: str
    seconds: float
    result: str


@dataclass
class Bar:
    """One step under way."""

    result: str = ""
    """In a sentence, what came of it; shown when the step ends."""
    progress: Progress | None = None

    def show(self, done: int, total: int, note: str) -> None:
        """How far it is; without a total nobody knows."""
        if self.progress is not None:
            self.progress.update(
                self.progress.task_ids[0], completed=done, total=total or None, note=show.short(note, 70)
            )


@dataclass
class View:
    """All steps so far."""

    took: list[Took] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Bar]:
        """A step with its bar; what it came to is said at its end, unless it failed."""
        began_s = monotonic_s()
        columns = (TextColumn(f"  {title}"), BarColumn(bar_width=30), TextColumn("{task.fields[note]}"))
        progress = Progress(*columns, TimeElapsedColumn(), console=ui.out, transient=True)
        bar = Bar(progress=progress if ui.out.is_terminal else None)
        if bar.progress is None:
            yield bar
        else:
            progress.add_task(title, total=None, note="")
            with progress:
                yield bar
        self._over(Took(title, monotonic_s() - began_s, bar.result))

    def _over(self, took: Took) -> None:
        self.took.append(took)
        mark = Text.from_markup(ui.WELL)
        line = Text.assemble(mark, f" {took.title:<{_TITLE_WIDTH}} ", (f"{took.seconds:6.1f} s", "dim"))
        ui.out.print(line, soft_wrap=True)
        if took.result:
            ui.out.print(Text(f"    {took.result}", style="dim"), soft_wrap=True)

    def line(self, text: str) -> None:
        """One line between the steps."""
        ui.out.print(Text(f"    {text}", style="dim"), soft_wrap=True)
