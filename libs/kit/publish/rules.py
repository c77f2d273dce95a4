"""Refuses what no registry takes, before a byte is sent."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from libs.contracts.registry import Kind
from libs.kit.errors import ServiceError

_UNSAFE: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".so", ".h5", ".msgpack"})


def check_directory(directory: Path, paths: Mapping[str, Path], kind: Kind) -> None:  # noqa: ARG001 - see below
    """Check the files of `directory` against the registry's own rules.

    Raises:
        ServiceError: `unsafe_file` or `invalid_manifest`.
    """
    if not paths:
        raise ServiceError("invalid_manifest", f"There is no file in {directory}.")
    for path in paths:
        if PurePosixPath(path).suffix.lower() in _UNSAFE:
            text = f"{path} may hold code that runs when it is read; convert weights to safetensors and leave it out."
            raise ServiceError("unsafe_file", text)
