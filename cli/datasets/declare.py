"""What a data set is to be made of: a YAML file, or options."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from cli.declared import read
from deploy.local.errors import StackError
from libs.contracts.datasets import DeclaredSelection

_TIMES: Final = ("since", "until")
"""In a file, dates and times beside the contract's `since_ms` and `until_ms`."""


def from_file(path: Path) -> DeclaredSelection:
    """The selection that a YAML file declares.

    Raises:
        StackError: it cannot be read, or says something that is not understood.
    """
    declared = read(path, "shape: sft")
    try:
        return selection(declared)
    except ValueError as error:
        raise StackError(f"{path}: {error}", "The fields are those of a selection: see README.md.") from error


def selection(declared: Mapping[str, Any]) -> DeclaredSelection:
    """A selection from plain values.

    Raises:
        ValueError: a field is missing, unknown, or not what it must be.
    """
    return msgspec.convert(fields(declared), DeclaredSelection)


def fields(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The contract's fields, with times made of dates.

    Raises:
        ValueError: a time is none, or is said twice.
    """
    found = dict(declared)
    for name in _TIMES:
        if name not in found:
            continue
        if f"{name}_ms" in found:
            raise ValueError(f"say either `{name}` or `{name}_ms`")
        found[f"{name}_ms"] = _time_ms(name, found.pop(name))
    return found


def splits(texts: list[str]) -> dict[str, float]:
    """Shares from `train=0.9` and the like.

    Raises:
        typer.BadParameter: one is not of that form.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            found[name] = float(share)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not NAME=SHARE", param_hint="--split") from None
    return found


def _time_ms(name: str, value: Any) -> int:
    """Milliseconds since 1970; a time without a zone is in UTC, so that a file means the same everywhere."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"`{name}` must be a date or a time, not {value!r}") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ValueError(f"`{name}` must be a date or a time")  # noqa: TRY004 - it is the file's value that is wrong
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000)
