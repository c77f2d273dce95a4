"""What a person has declared in a YAML file."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from deploy.local.errors import StackError

T = TypeVar("T", bound=msgspec.Struct)


def read(path: Path, example: str) -> dict[str, Any]:
    """The names and values of a file.

    Raises:
        StackError: it cannot be read, is not YAML, or holds something else; `example` shows what it may hold.
    """
    try:
        declared = msgspec.yaml.decode(path.read_bytes())
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise StackError(f"{path} is not YAML: {error}") from error
    if not isinstance(declared, dict):
        raise StackError(f"{path} must hold names and values, for example `{example}`.")
    return declared


def converted(declared: dict[str, Any], kind: type[T], path: Path, see: str) -> T:
    """The same as `kind`.

    Raises:
        StackError: a field is missing, unknown, or not what it must be; `see` says where the fields are described.
    """
    try:
        return msgspec.convert(declared, kind)
    except msgspec.ValidationError as error:
        raise StackError(f"{path}: {error}", see) from error


def locate_tasks(evaluation: Any, folder: Path) -> None:
    """Files of tasks are named from where the plan is, and the trainer is elsewhere."""
    tasks = evaluation.get("tasks") if isinstance(evaluation, dict) else None
    for each in tasks if isinstance(tasks, list) else ():
        if isinstance(each, dict) and isinstance(each.get("file"), str):
            each["file"] = str((folder / Path(each["file"]).expanduser()).resolve())
