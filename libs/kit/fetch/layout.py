"""Where each blob of a version belongs, after its manifest has been found sound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.registry import Blob, Manifest, ManifestFile
from libs.contracts.versions import digest_of, file_digest, is_digest
from libs.kit.errors import ServiceError

_MAX_PATH_BYTES: Final = 512


@dataclass
class Piece:
    """One distinct blob and every place where its bytes belong."""

    blob: Blob
    places: list[tuple[str, int]] = field(default_factory=list)
    """Path and offset in bytes."""


def check_path(path: str) -> None:
    """Refuse a path that is not plain, relative and inside the version.

    Raises:
        ServiceError: `invalid_manifest`.
    """
    parts = path.split("/")
    bad = (
        not path
        or len(path.encode(errors="surrogateescape")) > _MAX_PATH_BYTES
        or not path.isprintable()
        or "\\" in path
        or ":" in path
        or any(part in {"", ".", ".."} for part in parts)
    )
    if bad:
        raise ServiceError(
            "invalid_manifest",
            f"The path {path[:120]!r} is not allowed: relative, `/` between parts, no `.`, `..`, `:` or `\\`.",
        )


def check_manifest(manifest: Manifest, digest: str) -> None:
    """Refuse a manifest that is not the one named `digest`, or that contradicts itself.

    Raises:
        ServiceError: `digest_mismatch` or `invalid_manifest`.
    """
    if digest_of(manifest) != digest:
        raise ServiceError("digest_mismatch", f"The manifest of {manifest.name!r} is not the one named {digest[:12]}.")
    seen: set[str] = set()
    for file in manifest.files:
        check_path(file.path)
        _check_file(file)
        if file.path in seen:
            raise ServiceError("invalid_manifest", f"The manifest names {file.path!r} twice.")
        seen.add(file.path)
    folders = {path.rsplit("/", depth)[0] for path in seen for depth in range(1, path.count("/") + 1)}
    if folders & seen:
        raise ServiceError("invalid_manifest", f"{min(folders & seen)!r} is both a file and a directory.")


def pieces_of(manifest: Manifest) -> dict[str, Piece]:
    """Distinct blobs in the manifest's order.

    Raises:
        ServiceError: `invalid_manifest`: one digest with two sizes, or with two BLAKE3s.
    """
    pieces: dict[str, Piece] = {}
    for file in manifest.files:
        for offset, blob in _with_offsets(file):
            piece = pieces.setdefault(blob.digest, Piece(blob))
            if piece.blob != blob:
                raise ServiceError("invalid_manifest", f"Blob {blob.digest[:12]} has two sizes or two BLAKE3s.")
            piece.places.append((file.path, offset))
    return pieces


def _check_file(file: ManifestFile) -> None:
    stated = (blob.blake3 for blob in file.blobs if blob.blake3)
    digests = [file.digest, *(blob.digest for blob in file.blobs), *stated]
    if not all(is_digest(digest) for digest in digests) or any(blob.size_bytes <= 0 for blob in file.blobs):
        raise ServiceError("invalid_manifest", f"A digest or a size of {file.path!r} is malformed.")
    if sum(blob.size_bytes for blob in file.blobs) != file.size_bytes:
        raise ServiceError("invalid_manifest", f"The blobs of {file.path!r} do not add up to its size.")
    # Of several blobs it may be another one, in versions of an older form: their bytes are named by the blobs alone.
    if len(file.blobs) <= 1 and file_digest(file.blobs) != file.digest:
        raise ServiceError("digest_mismatch", f"The digest of {file.path!r} is not that of its only blob.")


def _with_offsets(file: ManifestFile) -> Iterator[tuple[int, Blob]]:
    offset = 0
    for blob in file.blobs:
        yield offset, blob
        offset += blob.size_bytes
