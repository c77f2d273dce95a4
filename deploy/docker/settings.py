"""Every setting of the compose installation, as a `.env` file: `python -m deploy.docker.settings > .env.example`.

First the variables of `docker-compose.yml` itself, then each service's own, as its settings class declares them.
"""

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from deploy.docker.variables import VARIABLES
from libs.kit.settings import TracingSettings, WatchdogSettings

SERVICES: Final = Path(__file__).resolve().parents[2] / "services"
_WIDTH: Final = 116
_HEAD: Final = """\
# Settings of `docker compose up`: copy to .env, change what must differ. Written by: python -m deploy.docker.settings
# What is commented out shows the default. Sizes may bear k, m, g where they limit a container; otherwise each name says
# its unit: _s seconds, _ms milliseconds, _bytes, _days. Secrets are not settings: they are made by `prepare`.
"""


def main() -> None:
    """Print the whole file."""
    sys.stdout.write(render())


def render() -> str:
    """The text of `.env.example`."""
    blocks = [_HEAD, "\n# --- docker-compose.yml ---\n"]
    blocks += [_entry(each.name, each.default, f"{each.sentence} [{each.unit}]") for each in VARIABLES]
    blocks.append("\n# --- every service (one's own, such as GATEWAY_TRACING__SAMPLE_RATIO, wins over these) ---\n")
    for shared in (TracingSettings, WatchdogSettings):
        blocks += [_entry(name, default, said) for name, default, said in fields(shared)]
    for service, settings in classes().items():
        blocks.append(f"\n# --- {service} (what docker-compose.yml sets itself wins over these) ---\n")
        blocks += [_entry(name, default, said) for name, default, said in fields(settings)]
    return "".join(blocks)


def classes() -> dict[str, type[BaseSettings]]:
    """The settings class of each service, by the service's name."""
    names = sorted(path.parent.name for path in SERVICES.glob("*/settings.py"))
    return {name: importlib.import_module(f"services.{name}.settings").Settings for name in names}


def fields(settings: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each variable of a settings class: its name, its default, what is said of it."""
    prefix = prefix or str(settings.model_config.get("env_prefix", ""))
    said = _docstrings(settings)
    for name, field in settings.model_fields.items():
        variable = f"{prefix}{name}".upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings):
            # Read from variables of its own, which stand above.
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}__")
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        yield variable, default, said.get(name, "")


def _docstrings(settings: type[BaseModel]) -> dict[str, str]:
    """The sentence below each field, those of base classes included."""
    found: dict[str, str] = {}
    for each in reversed(settings.__mro__):
        if not each.__module__.startswith(("services.", "libs.")):
            continue
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(parsed, ast.ClassDef)  # noqa: S101 - the source of a class
        for field, after in zip(parsed.body, parsed.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found


def _entry(name: str, default: Any, sentence: str) -> str:
    comment = "".join(f"# {line}\n" for line in textwrap.wrap(sentence, _WIDTH))
    return f"{comment}#{name}={_written(default)}\n"


def _written(default: Any) -> str:
    """A default as one writes it into the environment."""
    if default is None or default is PydanticUndefined or isinstance(default, SecretStr):
        return ""
    if isinstance(default, tuple | dict):
        return msgspec.json.encode(default).decode()
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)


if __name__ == "__main__":
    main()
