"""Times as people give them on a command line."""

import re
from datetime import datetime
from typing import Final

import typer

from libs.kit import clock

SINCE_HELP: Final = "Only newer: 30m, 12h, 7d, or a date such as 2026-11-22."
UNTIL_HELP: Final = "When it ends: in 12h, 30d, or at a date such as 2027-01-31; else never."
_AGO: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def since_ms(text: str) -> int:
    """Milliseconds since 1970 of `30m`, `12h`, `7d` ago, or of an ISO date or time (local unless it says); 0 of "".

    Raises:
        typer.BadParameter: it is none of these.
    """
    if not text:
        return 0
    if ago := _AGO.fullmatch(text):
        return clock.unix_ms() - int(ago[1]) * _UNITS_MS[ago[2]]
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000)
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(f"{text!r} is neither like 30m, 12h, 7d nor a date", param_hint="--since") from None


def duration(ms: int) -> str:
    """How long something has been going on, for people."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def until_ms(text: str) -> int:
    """Milliseconds since 1970 of `12h` or `30d` from now, or of an ISO date or time (local unless it says); 0 of "".

    Raises:
        typer.BadParameter: it is none of these.
    """
    if ahead := _AGO.fullmatch(text):
        return clock.unix_ms() + int(ahead[1]) * _UNITS_MS[ahead[2]]
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000) if text else 0
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(f"{text!r} is neither like 12h, 30d nor a date", param_hint="--expires") from None
