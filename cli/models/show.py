"""How versions, aliases and deployments are shown: tables for people, JSON for programs."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from rich.table import Table

from cli import ui
from libs.contracts.registry import Alias, DeploymentStatus, Version
from libs.contracts.versions import short_reference

_UNITS: Final = ("B", "KB", "MB", "GB", "TB")
_LONG: Final = ("aliases", "models", "error", "reason")
_RIGHT: Final = ("size", "#", "generation")


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


def versions(found: Iterable[Version]) -> None:
    """A list of versions."""
    rows = [
        (each.reference, str(each.number), each.kind, size(each.size_bytes), ", ".join(each.aliases),
         when(each.published_ms))
        for each in found
    ]  # fmt: skip
    _table(("reference", "#", "kind", "size", "aliases", "published"), rows)


def aliases(found: Sequence[Alias]) -> None:
    """Aliases, or moves of one."""
    rows = [
        (f"{each.name}@{each.alias}", short_reference(each.name, each.digest) if each.digest else "removed",
         str(each.generation), when(each.moved_ms), each.author, each.reason)
        for each in found
    ]  # fmt: skip
    _table(("alias", "points to", "generation", "since", "by", "reason"), rows)


def deployments(found: Sequence[DeploymentStatus]) -> None:
    """Pools with what they serve, and how far each worker is."""
    for status in found:
        wanted = status.deployment
        ui.say(
            f"\n  [bold]{wanted.pool}[/bold]  serves {wanted.base.reference}  [dim]generation {wanted.generation}[/dim]"
        )
        for adapter in wanted.adapters:
            ui.say(f"    adapter {adapter.reference}")
        for name, reference in sorted(wanted.names.items()):
            ui.say(f"    [dim]{name} → {reference}[/dim]")
        rows = [
            (each.name, each.state, str(each.generation), ", ".join(each.models), each.error) for each in status.workers
        ]
        _table(("worker", "state", "generation", "models", "error"), rows)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair per line; empty values are left out."""
    table = Table.grid(padding=(0, 3))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            table.add_row(f"  [dim]{name}[/dim]", value)
    ui.out.print(table)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        ui.say("  [dim]none[/dim]")
        return
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for title in titles:
        justify: Literal["right", "left"] = "right" if title in _RIGHT else "left"
        table.add_column(title, justify=justify, no_wrap=title not in _LONG, overflow="fold")
    for row in rows:
        table.add_row(*row)
    ui.out.print(table)
