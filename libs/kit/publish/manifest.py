"""A directory in Hugging Face layout becomes a manifest: its files cut into blobs and hashed, several at a time."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from libs.contracts.registry import BLOB_BYTES, MAX_MANIFEST_BYTES, Blob, Kind, Lineage, Manifest, ManifestFile
from libs.contracts.versions import canonical, file_digest
from libs.kit.chat_templates import render_templates
from libs.kit.digests import Digesting, Digests
from libs.kit.errors import ServiceError
from libs.kit.publish.rules import check_files

_CHUNK_BYTES: Final = 1 << 20
_MOST_THREADS: Final = 8

Progress = Callable[[str, int, int], None]
"""Hears what is done (`hash`, `upload`, `commit`), how many bytes of it are done, and of how many; from any thread."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a manifest says beside its files; the fields are those of `Manifest`."""

    name: str
    kind: Kind
    base: str = ""
    lineage: Lineage = field(default_factory=Lineage)
    metrics: dict[str, float] = field(default_factory=dict)
    licence: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """Where the bytes of one blob lie on this machine."""

    path: Path
    offset: int
    size_bytes: int

    def read(self) -> bytes:
        """The bytes as they are now; fewer if the file has shrunk."""
        return self.part(0, self.size_bytes)

    def part(self, start: int, most: int) -> bytes:
        """At most `most` of the bytes as they are now, from `start` on; fewer at the end, or if the file has shrunk."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset + start)
            return file.read(min(most, self.size_bytes - start))


@dataclass(frozen=True)
class Scan:
    """A manifest and where its blobs are."""

    manifest: Manifest
    pieces: dict[str, Piece]
    """By digest; of two equal blobs the first."""


def scan(directory: Path, description: Description, *, progress: Progress = lambda *_: None) -> Scan:
    """Read and hash every file of `directory`; blocks, so run it in a thread where a loop must go on.

    Names that begin with a dot are left out; links to files are followed.

    Raises:
        ServiceError: `unsafe_file`, `invalid_manifest`, `not_found`, or `digest_mismatch` if a file changes meanwhile.
    """
    if not directory.is_dir():
        raise ServiceError("not_found", f"There is no directory {directory}.")
    paths = dict(sorted(_files(directory)))
    if not paths:
        raise ServiceError("invalid_manifest", f"There is no file in {directory}.")
    templates = check_files(paths, description.kind)
    before = {path: _mark(file) for path, file in paths.items()}
    with ThreadPoolExecutor(1) as aside:
        # In a process of its own, beside the hashing.
        rendered = aside.submit(render_templates, templates)
        files, pieces = _hash_all(paths, before, progress)
        rendered.result()
    for path, file in paths.items():
        if _mark(file) != before[path]:
            raise changed(path)
    manifest = Manifest(
        name=description.name,
        kind=description.kind,
        files=files,
        base=description.base,
        lineage=description.lineage,
        metrics=dict(sorted(description.metrics.items())),
        licence=description.licence,
        annotations=dict(sorted(description.annotations.items())),
    )
    return Scan(_fitting(manifest), pieces)


def changed(path: str) -> ServiceError:
    """What to say of a file that is not any more what was hashed."""
    return ServiceError("digest_mismatch", f"{path} changed while it was being published; publish again when it rests.")


def _fitting(manifest: Manifest) -> Manifest:
    """Without BLAKE3s where it would be too long with them: what is very large then loads slower, but is published."""
    if len(canonical(manifest)) <= MAX_MANIFEST_BYTES:
        return manifest
    replace = msgspec.structs.replace
    files = (replace(file, blobs=tuple(replace(blob, blake3="") for blob in file.blobs)) for file in manifest.files)
    return replace(manifest, files=tuple(files))


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Each file's path in the manifest and on this machine."""
    for entry in sorted(directory.rglob("*")):
        relative = entry.relative_to(directory)
        if any(part.startswith(".") for part in relative.parts):
            continue
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            raise ServiceError("unsafe_file", f"{relative} cannot be read: {error.strerror}.") from error
        if stat.S_ISDIR(mode):
            if entry.is_symlink():
                raise ServiceError("unsafe_file", f"{relative} is a link to a directory; put the files there instead.")
            continue
        if not stat.S_ISREG(mode):
            raise ServiceError("unsafe_file", f"{relative} is no ordinary file.")
        yield relative.as_posix(), entry


def _mark(path: Path) -> tuple[int, int]:
    """Changes when the file does."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise changed(str(path)) from error
    return found.st_size, found.st_mtime_ns


def _hash_all(
    paths: dict[str, Path], marks: dict[str, tuple[int, int]], progress: Progress
) -> tuple[tuple[ManifestFile, ...], dict[str, Piece]]:
    """Hash blobs side by side, each once."""
    cuts = {path: [Piece(file, at, min(BLOB_BYTES, marks[path][0] - at)) for at in range(0, marks[path][0], BLOB_BYTES)]
            for path, file in paths.items()}  # fmt: skip
    meter = Meter("hash", sum(size for size, _ in marks.values()), progress)
    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        parts = {path: [pool.submit(_digest, piece, path, meter) for piece in cut] for path, cut in cuts.items()}
        try:
            return _collect(cuts, marks, parts)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _collect(
    cuts: dict[str, list[Piece]], marks: dict[str, tuple[int, int]], parts: dict[str, list[Future[Digests]]]
) -> tuple[tuple[ManifestFile, ...], dict[str, Piece]]:
    files: list[ManifestFile] = []
    pieces: dict[str, Piece] = {}
    for path, cut in cuts.items():
        digests = [part.result() for part in parts[path]]
        blobs = tuple(Blob(of.sha256, piece.size_bytes, of.blake3) for of, piece in zip(digests, cut, strict=True))
        for of, piece in zip(digests, cut, strict=True):
            pieces.setdefault(of.sha256, piece)
        files.append(ManifestFile(path, file_digest(blobs), marks[path][0], blobs))
    return tuple(files), pieces


def _digest(piece: Piece, name: str, meter: "Meter") -> Digests:
    """The digests of one piece, read once."""
    try:
        return _read_through(piece, name, meter)
    except FileNotFoundError as error:
        raise changed(name) from error
    except OSError as error:
        raise ServiceError("unsafe_file", f"{name} cannot be read: {error.strerror}.") from error


def _read_through(piece: Piece, name: str, meter: "Meter") -> Digests:
    hashed, left = Digesting(), piece.size_bytes
    with piece.path.open("rb", buffering=0) as file:
        file.seek(piece.offset)
        while left:
            chunk = file.read(min(_CHUNK_BYTES, left))
            if not chunk:
                raise changed(name)
            hashed.update(chunk)
            left -= len(chunk)
            meter.add(len(chunk))
    return hashed.digests()


class Meter:
    """Adds up progress from several threads."""

    def __init__(self, step: str, total: int, progress: Progress) -> None:
        self._step, self._total, self._progress = step, total, progress
        self._done = 0
        self._lock = threading.Lock()
        progress(step, 0, total)

    def add(self, count: int) -> None:
        """`count` bytes more are done; less than nothing takes back what has to be done again."""
        with self._lock:
            self._done += count
            self._progress(self._step, self._done, self._total)
