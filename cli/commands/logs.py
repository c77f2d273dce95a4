"""`./llmos logs`."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import settings
from deploy.local.errors import StackError
from deploy.local.logs import tail

_POLL_S: Final = 0.2


def run(
    service: Annotated[str | None, typer.Argument(help="One process, as ./llmos status names it; else all.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 20,
) -> None:
    """Print the end of one log, or of all of them."""
    logs = settings.stack().home.logs
    found = {path.stem: path for path in sorted(logs.glob("*.log"))}
    if service is not None and service not in found:
        raise StackError(
            f"There is no log of {service!r}.", f"There is: {', '.join(found) or 'none; nothing has run yet'}"
        )
    chosen = found if service is None else {service: found[service]}
    sizes = {name: path.stat().st_size for name, path in chosen.items()}
    for name, path in chosen.items():
        _write(name, tail(path, lines=lines), prefixed=service is None)
    while follow:
        time.sleep(_POLL_S)
        for name, path in chosen.items():
            sizes[name] = _write_news(name, path, sizes[name], prefixed=service is None)


def _write_news(name: str, path: Path, seen_bytes: int, *, prefixed: bool) -> int:
    """Print what has been added since; returns the new size. A log that has shrunk was rotated: begin again."""
    size = path.stat().st_size
    start = seen_bytes if size >= seen_bytes else 0
    if size > start:
        with path.open("rb") as file:
            file.seek(start)
            _write(name, file.read(size - start).decode("utf-8", errors="replace").rstrip("\n"), prefixed=prefixed)
    return size


def _write(name: str, text: str, *, prefixed: bool) -> None:
    for line in text.splitlines():
        sys.stdout.write(f"{name:<14} {line}\n" if prefixed else f"{line}\n")
    sys.stdout.flush()
