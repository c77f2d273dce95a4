"""Comparing a directory with the manifest of the version that it is said to hold."""

from pathlib import Path
from typing import BinaryIO, Final

from libs.contracts.registry import Blob, Manifest, ManifestFile
from libs.kit.digests import Check

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
        or not _holds(there[name], wanted[name])
    }
    return sorted(changed | (there.keys() ^ wanted.keys()))


def _holds(path: Path, wanted: ManifestFile) -> bool:
    with path.open("rb") as file:
        return all(_is_next(file, blob) for blob in wanted.blobs)


def _is_next(file: BinaryIO, blob: Blob) -> bool:
    check, left = Check(blob), blob.size_bytes
    while left and (data := file.read(min(_READ_BYTES, left))):
        check.update(data)
        left -= len(data)
    return check.holds()
