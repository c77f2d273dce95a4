"""Refuses what no registry takes, before a byte is sent: the registry's own rules, read from the disk."""

from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from libs.contracts.registry import Kind
from libs.kit.errors import ServiceError
from libs.kit.modelfiles import Contents, check_contents, check_names, check_paths


def check_files(paths: Mapping[str, Path], kind: Kind) -> dict[str, str]:
    """Check a version's files: their names, and what is in them; its chat templates, which are still to be rendered.

    Raises:
        ServiceError: `unsafe_file` or `invalid_manifest`.
    """

    async def read(path: str, offset: int, size_bytes: int) -> bytes:
        with paths[path].open("rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    check_paths(paths)
    check_names(kind, paths)
    try:
        found = _finish(check_contents(kind, {path: file.stat().st_size for path, file in paths.items()}, read))
    except OSError as error:
        raise ServiceError("unsafe_file", f"{error.filename} cannot be read: {error.strerror}.") from error
    return found.templates


def _finish(rules: Coroutine[Any, Any, Contents]) -> Contents:
    """Run a coroutine that waits for nothing: the rules are asynchronous for those who read from afar."""
    try:
        rules.send(None)
    except StopIteration as end:
        found: Contents = end.value
        return found
    raise AssertionError("reading a file here does not wait")
