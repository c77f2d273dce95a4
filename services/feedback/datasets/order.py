"""What is said between a feedback process and the process that builds a data set for it."""

from typing import Final

import msgspec

from libs.contracts.datasets import Selection

DATA: Final = "data"
"""The files of the version that comes of it."""
WORK: Final = "work"
"""What is only needed meanwhile."""
ROW_IDS: Final = "row_ids.txt"
"""In `DATA`: the interactions that are in it, a line each."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Build this; one line of JSON on the builder's standard input, which then stays open as long as anybody waits."""

    selection: Selection
    directory: str
    """Where `DATA` and `WORK` are to be made."""
    host: str
    port: int
    user: str
    password: str
    database: str


class Progress(msgspec.Struct, frozen=True, tag="progress", kw_only=True):
    """How far it is; lines of JSON on the builder's standard output."""

    rows_read: int
    rows_total: int
    counts: dict[str, int]


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """The files are there."""

    rows: int
    rows_read: int
    rows_total: int
    counts: dict[str, int]


class Failed(msgspec.Struct, frozen=True, tag="failed", kw_only=True):
    """There will be none."""

    code: str
    message: str
    counts: dict[str, int] = {}


Report = Progress | Done | Failed
