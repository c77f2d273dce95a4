"""Tells what a process runs with, and never a secret."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_settings import BaseSettings

from libs.contracts.effective import Setting

_UNITS: Final = ("s", "ms", "bytes", "tokens", "days", "share", "ratio")
_FLAG: Final = re.compile(r"--?([A-Za-z][\w.-]*)(=.*)?", re.DOTALL)
_HIDDEN: Final = "…"
_SECRETIVE: Final = ("password", "secret", "key", "keys", "token", "salt", "credentials")
"""Words in the names of settings whose values are not shown; a file that holds a secret is named, not read."""


def shown(settings: BaseSettings) -> tuple[Setting, ...]:
    """Every setting, by the name of its environment variable."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    delimiter = str(settings.model_config.get("env_nested_delimiter") or "__")
    return tuple(sorted(_walk(settings, prefix, delimiter), key=lambda setting: setting.name))


def _walk(model: BaseModel, prefix: str, delimiter: str) -> Iterator[Setting]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        variable = prefix + name
        if isinstance(value, BaseModel):
            yield from _walk(value, variable + delimiter, delimiter)
        else:
            yield _setting(variable.upper(), name, value, is_set=name in model.model_fields_set)


def _setting(variable: str, name: str, value: Any, *, is_set: bool) -> Setting:
    words = name.split("_")
    secret = _secret(value) if _is_secret(words, value) else None
    unit = words[-1] if len(words) > 1 and words[-1] in _UNITS else ""
    return Setting(
        name=variable,
        value=("set" if secret else "unset") if secret is not None else _text(value),
        source="environment" if is_set else "default",
        unit=unit,
        is_secret=secret is not None,
    )


def _is_secret(words: list[str], value: Any) -> bool:
    if isinstance(value, SecretStr | SecretBytes):
        return True
    names_a_file = words[-1] in ("file", "dir", "directory")
    return isinstance(value, str) and not names_a_file and any(word in _SECRETIVE for word in words)


def _secret(value: Any) -> bool:
    """Whether there is one."""
    return bool(value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list | set | frozenset):
        return ", ".join(_without_secrets(_text(each) for each in value))
    return str(value)


def _without_secrets(words: Iterable[str]) -> Iterator[str]:
    """The same; among flags of a program, the values of those that name a secret are not shown."""
    hides = False
    for word in words:
        flag = _FLAG.fullmatch(word)
        if flag is None:
            yield _HIDDEN if hides else word
            continue
        is_secret = any(part in _SECRETIVE for part in re.split(r"[-_.]", flag[1].lower()))
        # Until the next flag, for some take several values.
        hides = is_secret
        yield f"{word.partition('=')[0]}={_HIDDEN}" if is_secret and flag[2] is not None else word
