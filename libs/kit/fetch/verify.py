"""Comparing a directory with the manifest of the version that it is said to hold."""

import hashlib
from pathlib import Path
from typing import Final

from libs.contracts.registry import Manifest

_READ_BYTES: Final = 1 << 20


def differences(directory: Path, manifest: Manifest) -> list[str]:
    """Paths that are missing, superfluous or changed, sorted; reads every byte."""
    there = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if not path.is_dir()}
    wanted = {file.path: file for file in manifest.files}
    changed = {
        name
        for name in there.keys() & wanted.keys()
        if there[name].is_symlink()
        or there[name].stat().st_size != wanted[name].size_bytes
        or _digest(there[name]) != wanted[name].digest
    }
    return sorted(changed | (there.keys() ^ wanted.keys()))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()
