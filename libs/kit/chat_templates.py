"""Chat templates are programs from strangers: parsed in a sandbox, and rendered once in a process with limits."""

import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import TemplateError, nodes

from libs.kit import chat_rendering
from libs.kit.chat_rendering import CPU_S, environment
from libs.kit.errors import ServiceError

MAX_TEMPLATE_BYTES: Final = 1 << 20
_WALL_S: Final = 120.0
"""Far beyond the processor time that a template may take; for a machine that has something else to do."""
_KILLED_FOR_MEMORY: Final = "MemoryError"
_REACHES_OUT: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


def check_template(path: str, source: str) -> None:
    """Accept a template that Hugging Face's own sandbox would take; `render_templates` shows that it works.

    Raises:
        ServiceError: `unsafe_file`, it is too long, is no template, loads other files or asks for Python's internals.
    """
    if len(source.encode(errors="replace")) > MAX_TEMPLATE_BYTES:
        raise ServiceError("unsafe_file", f"The chat template in {path} is longer than 1 MiB.", param=path)
    try:
        tree = environment().parse(source)
    except (TemplateError, RecursionError) as error:
        raise ServiceError(
            "unsafe_file", f"The chat template in {path} cannot be parsed: {str(error)[:160]}.", param=path
        ) from error
    for node in tree.find_all(nodes.Node):
        if isinstance(node, _REACHES_OUT):
            raise ServiceError("unsafe_file", f"The chat template in {path} loads another file.", param=path)
        if (name := _attribute(node)).startswith("_"):
            raise ServiceError("unsafe_file", f"The chat template in {path} asks for {name[:40]!r}.", param=path)


def render_templates(templates: Mapping[str, str]) -> None:
    """Accept templates, by place, that render a short conversation; blocks, so run it in a thread where a loop goes on.

    Raises:
        ServiceError: `unsafe_file`, one fails, takes too long, or asks for too much memory.
    """
    for source, path in {source: path for path, source in templates.items()}.items():
        if fault := _rendering_fault(source):
            raise ServiceError("unsafe_file", f"The chat template in {path} is refused: {fault}.", param=path)


@lru_cache(maxsize=16)
def _rendering_fault(source: str) -> str:
    """What is wrong with one; remembered, for most versions of a model bring the same."""
    # By its path and isolated: nothing of this process is handed on, and the program can stand alone.
    command = (sys.executable, "-I", str(Path(chat_rendering.__file__)))
    try:
        done = subprocess.run(
            command, input=source.encode("utf-8", errors="replace"), capture_output=True, check=False,
            timeout=_WALL_S, env={},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ServiceError("internal_error", "Chat templates cannot be tried out: the machine is too busy.") from error
    if done.returncode < 0:
        return f"it takes more than {CPU_S} s for a conversation of three lines"
    if done.returncode and _KILLED_FOR_MEMORY.encode() in done.stderr:
        return chat_rendering.TOO_MUCH
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ServiceError("internal_error", f"Chat templates cannot be tried out: {said[-1][:160] if said else '?'}.")
    return done.stdout.decode(errors="replace").strip()


def _attribute(node: nodes.Node) -> str:
    """The attribute or constant key that `node` asks for; empty if it asks for none."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        # A single underscore may well begin a key of a message; two begin Python's own names.
        return node.arg.value if node.arg.value.startswith("__") else ""
    return ""
