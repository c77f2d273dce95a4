"""Shows a stack coming up: a live table on a terminal, one line per event elsewhere."""

from types import TracebackType
from typing import Self

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.ui import SYMBOLS, out
from deploy.local.state import PartPhase, PartState, StackState
from libs.kit.clock import unix_ms

_SETTLED = (PartPhase.READY, PartPhase.DONE, PartPhase.FAILED)


class StartView:
    """Follows the state of a stack from `with` to its end."""

    def __init__(self) -> None:
        self._live = Live(console=out, refresh_per_second=8, transient=False) if out.is_terminal else None
        self._said: set[tuple[str, PartPhase, int]] = set()
        self._spinner = Spinner("dots", style="cyan")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, state: StackState) -> None:
        """Show what the supervisor last wrote."""
        if self._live is not None:
            self._live.update(self._table(state))
            return
        for part in state.parts:
            event = (part.name, part.phase, part.restarts)
            if part.phase in (*_SETTLED, PartPhase.RESTARTING) and event not in self._said:
                self._said.add(event)
                out.print(SYMBOLS[part.phase], part.title, _note(part))

    def _table(self, state: StackState) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=3, justify="right")
        table.add_column(min_width=28)
        table.add_column()
        for part in state.parts:
            busy = part.phase in (PartPhase.STARTING, PartPhase.STOPPING)
            symbol = self._spinner if busy else Text.from_markup(SYMBOLS.get(part.phase, " "), justify="right")
            table.add_row(symbol, part.title, _note(part))
        return table


def _note(part: PartState) -> Text:
    """Beside the name: how long it took or takes, or what is wrong."""
    if part.phase is PartPhase.WAITING:
        return Text("waiting", style="dim")
    if part.detail:
        return Text(part.detail, style="yellow")
    end_ms = part.ready_ms if part.phase in _SETTLED and part.ready_ms else unix_ms()
    return Text(f"{max(0, end_ms - part.started_ms) / 1000:.1f} s", style="dim")
