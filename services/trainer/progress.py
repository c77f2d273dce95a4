"""Lines that say how far a long command is, for people at a terminal and for log files."""

import sys
from typing import Final, TextIO

from libs.kit.clock import monotonic_s

BAR_CELLS: Final = 24
LOG_EVERY_S: Final = 20.0


class Progress:
    """Writes notes and one bar that moves; in a log file the bar is a line now and then."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._live = out.isatty()
        self._began_s = monotonic_s()
        self._logged_s = self._began_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command began."""
        return monotonic_s() - self._began_s

    def note(self, text: str) -> None:
        """One line that stays."""
        self._write(f"{text}\n")

    def bar(self, done: int, total: int, text: str) -> None:
        """Moves the bar; the text beside it says what the numbers are."""
        filled = BAR_CELLS * done // total
        line = f"  {'█' * filled}{'·' * (BAR_CELLS - filled)} {100 * done // total:3d} %  {text}"
        if self._live:
            self._write(line + ("\n" if done == total else ""))
        elif done == total or monotonic_s() - self._logged_s > LOG_EVERY_S:
            self._logged_s = monotonic_s()
            self._write(line + "\n")

    def _write(self, text: str) -> None:
        self._out.write(("\r\x1b[2K" if self._live else "") + text)
        self._out.flush()
