"""Rules of the house that no other tool checks."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = ("libs", "services", "cli", "deploy")
SUBJECT: Final = re.compile(r"^(cmd|evt|ctl|rpl|dlq)\.[a-z*<{]")
SPELLS_SUBJECTS: Final = ("libs/contracts/", "deploy/nats/permissions.py")
# vLLM takes some settings from the environment only; its adapter sets them before the import.
READS_ENVIRONMENT: Final = ("cli/", "deploy/local/", "libs/testkit/", "services/inference/engines/flags.py")
HEAVY: Final = ("vllm", "torch", "transformers")


def _sources() -> list[Path]:
    return sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _light_modules() -> list[str]:
    """Every module that a process without an engine may import."""
    names = []
    for path in _sources():
        relative = _relative(path)
        if relative.endswith("__main__.py") or any(
            word in relative for word in ("engines/", "trainer/", "testkit/plugin")
        ):
            continue
        names.append(relative.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    return names


@pytest.mark.parametrize("path", _sources(), ids=_relative)
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "a module opens with one true sentence"


@pytest.mark.parametrize("path", _sources(), ids=_relative)
def test_subjects_are_spelled_in_the_contracts_only(path: Path) -> None:
    if _relative(path).startswith(SPELLS_SUBJECTS):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in literals if SUBJECT.match(text) and " " not in text]


@pytest.mark.parametrize("path", _sources(), ids=_relative)
def test_the_environment_is_read_in_settings_only(path: Path) -> None:
    relative = _relative(path)
    if relative.startswith(READS_ENVIRONMENT) or path.name in ("settings.py", "__main__.py"):
        return
    assert not re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))


def test_opentelemetry_is_known_to_one_module() -> None:
    imports = re.compile(r"^\s*(from|import) opentelemetry", re.MULTILINE)
    known = {_relative(path) for path in _sources() if imports.search(path.read_text(encoding="utf-8"))}
    assert known == {"libs/kit/telemetry/export.py", "libs/testkit/collector.py"}


def test_every_light_module_imports_with_an_empty_environment_and_without_the_engine() -> None:
    program = (
        "import importlib, sys\n"
        f"for name in {_light_modules()!r}:\n"
        "    importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"


def test_each_service_has_its_charter_and_its_page() -> None:
    for folder in sorted(path for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists()):
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder
        assert (folder / "README.md").exists(), folder
