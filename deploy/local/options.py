"""What somebody may choose about a stack: options of the command line over `LLMOS_*` variables over defaults."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT, Home
from deploy.local.ports import NAMES

STARTER: Final = CHECKOUT / "deploy" / "starter" / "helpdesk"
STARTER_NAME: Final = "helpdesk"
_MOST_WORKERS: Final = 64
_MOST_NAME: Final = 64


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One stack, as asked for."""

    home: str
    """The directory that holds the state."""
    model: str = str(STARTER)
    """A local directory, or a name on Hugging Face."""
    model_asked: bool = False
    """Whether somebody has named the model, so that it is to replace what the pool serves."""
    workers: int = 1
    ports: dict[str, int] = {}
    """Ports that must be these; the others are chosen."""

    @property
    def model_name(self) -> str:
        """The name under which clients ask for the model."""
        if self.model == str(STARTER):
            return STARTER_NAME
        return _slug(Path(self.model).name) if self.is_local else self.model

    @property
    def is_local(self) -> bool:
        """Whether the model is a directory of this machine, so that nothing has to be fetched."""
        return Path(self.model).is_dir()


def _slug(text: str) -> str:
    """The nearest name that the registry takes."""
    kept = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return kept[:_MOST_NAME] or "model"


def home_from(environment: Mapping[str, str]) -> Home:
    """The directory that holds the state of the stack."""
    return Home(Path(environment.get("LLMOS_HOME") or CHECKOUT / ".llmos").expanduser().resolve())


def options_from(
    environment: Mapping[str, str], *, port: int | None = None, workers: int | None = None, model: str | None = None
) -> StackOptions:
    """Options of the command line over the environment over the defaults.

    Raises:
        StackError: a value is not what it must be.
    """
    ports = {name: _number(environment, key) for name in NAMES if environment.get(key := f"LLMOS_{name.upper()}_PORT")}
    if port is not None or environment.get("LLMOS_PORT"):
        ports["gateway"] = port if port is not None else _number(environment, "LLMOS_PORT")
    for name, value in ports.items():
        _check(f"The port of the {name}", value, most=65_535)
    count = workers if workers is not None else _number(environment, "LLMOS_WORKERS") or 1
    _check("The number of workers", count, most=_MOST_WORKERS)
    return StackOptions(
        home=str(home_from(environment).root),
        model_asked=bool(model or environment.get("LLMOS_MODEL")),
        model=_model(model or environment.get("LLMOS_MODEL") or str(STARTER), environment),
        workers=count,
        ports=ports,
    )


def _model(wanted: str, environment: Mapping[str, str]) -> str:
    """An absolute path for a directory; a Hugging Face name as it is; anything for an engine of the caller's own."""
    if "INFERENCE_ENGINE" in environment:
        return wanted
    path = Path(wanted).expanduser()
    if path.is_dir() and not (path / "config.json").exists():
        raise StackError(f"{path} holds no model: there is no config.json in it.", "Name the directory that has one.")
    if path.is_dir():
        return str(path.resolve())
    if path.is_absolute() or wanted.startswith((".", "~")) or wanted.count("/") > 1:
        raise StackError(
            f"There is no model directory {path}.", "Give a directory with a config.json, or a Hugging Face name."
        )
    return wanted


def _number(environment: Mapping[str, str], key: str) -> int:
    text = environment.get(key, "") or "0"
    try:
        return int(text)
    except ValueError:
        raise StackError(f"{key} must be a number, not {text!r}.") from None


def _check(what: str, value: int, *, most: int) -> None:
    if not 1 <= value <= most:
        raise StackError(f"{what} must be between 1 and {most}, not {value}.")


def usable_cpus() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))
