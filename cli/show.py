"""How results are shown: tables for people, JSON for programs."""

import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from rich.markup import escape
from rich.table import Table

from cli import ui

_UNITS: Final = ("B", "KB", "MB", "GB", "TB")
_LONG: Final = ("aliases", "models", "error", "reason", "asked", "answered", "judged")
_RIGHT: Final = ("size", "#", "generation", "revision", "asked for", "up", "down", "approval", "scores", "mean",
                 "comments", "better", "implicit", "rows", "before", "after")  # fmt: skip
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def emit(result: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), 0
    while value >= 1_000 and unit < len(_UNITS) - 1:
        value, unit = value / 1_000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def when(unix_time_ms: int) -> str:
    """A Unix time in the local zone, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_time_ms / 1_000))


def unmarked(text: str) -> str:
    """Text that others wrote, so that no character of it is an order to the terminal."""
    return _CONTROL.sub("\ufffd", text)


def plain(text: str) -> str:
    """The same where markup means something, so that none of it does."""
    return escape(unmarked(text))


def short(text: str, most: int = 60) -> str:
    """The beginning of `text` on one line, made plain."""
    line = " ".join(text.split())
    return plain(line if len(line) <= most else f"{line[: most - 1]}…")


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair per line; empty values are left out."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(f"  [dim]{name}[/dim]", value)
    ui.out.print(grid)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under titles."""
    if not rows:
        ui.say("  [dim]none[/dim]")
        return
    drawn = Table(box=None, padding=(0, 1), header_style="dim")
    for title in titles:
        justify: Literal["right", "left"] = "right" if title in _RIGHT else "left"
        drawn.add_column(title, justify=justify, no_wrap=title not in _LONG, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    ui.out.print(drawn)
