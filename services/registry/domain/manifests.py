"""What a manifest must be before its upload may begin; nothing here looks at the bytes."""

from libs.contracts.registry import BLOB_BYTES, MAX_MANIFEST_BYTES, Blob, Kind, Manifest, ManifestFile
from libs.contracts.versions import (
    NAME,
    BadReferenceError,
    Reference,
    canonical,
    file_digest,
    is_digest,
    parse_reference,
)
from libs.kit.errors import ServiceError
from libs.kit.modelfiles import check_names, check_paths


def check_manifest(manifest: Manifest) -> None:
    """Accept a manifest whose parts agree with one another.

    Raises:
        ServiceError: `invalid_manifest` or `unsafe_file`, with the path or field at fault.
    """
    if NAME.fullmatch(manifest.name) is None:
        raise _invalid(
            f"{manifest.name[:80]!r} is not a name: lower-case letters, digits, `.`, `_`, `-`; at most 64.", "name"
        )
    text = canonical(manifest)
    if len(text) > MAX_MANIFEST_BYTES:
        raise _invalid(f"The manifest has {len(text)} bytes; at most {MAX_MANIFEST_BYTES} fit into a message.", "files")
    if rb"\u0000" in text:
        raise _invalid("The manifest holds a NUL character.", "manifest")
    paths = [file.path for file in manifest.files]
    if not paths:
        raise _invalid("A version needs at least one file.", "files")
    check_paths(paths)
    if paths != sorted(paths):
        raise _invalid("Files must be sorted by path.", "files")
    check_names(manifest.kind, paths)
    for file in manifest.files:
        _check_file(file)
    blobs_of(manifest)
    base_of(manifest)


def blobs_of(manifest: Manifest) -> tuple[Blob, ...]:
    """The distinct blobs in manifest order.

    Raises:
        ServiceError: `invalid_manifest`, one digest with two sizes, or with two BLAKE3s.
    """
    found: dict[str, Blob] = {}
    for file in manifest.files:
        for blob in file.blobs:
            if found.setdefault(blob.digest, blob) != blob:
                raise _invalid(f"Blob {blob.digest[:12]} is listed with two sizes or two BLAKE3s.", file.path)
    return tuple(found.values())


def base_of(manifest: Manifest) -> Reference | None:
    """The base that the manifest names, if any.

    Raises:
        ServiceError: `invalid_manifest`, an adapter without a base, or one that is not named by its whole digest.
    """
    if not manifest.base:
        if manifest.kind is Kind.ADAPTER:
            raise _invalid("An adapter must name its base: `<name>@sha256:<64 hex>`.", "base")
        return None
    try:
        reference = parse_reference(manifest.base)
    except BadReferenceError as error:
        raise _invalid(str(error), "base") from error
    if not is_digest(reference.digest):
        raise _invalid(f"The base {manifest.base[:120]!r} must be `<name>@sha256:<64 hex>`.", "base")
    return reference


def size_of(manifest: Manifest) -> int:
    """Bytes of all files."""
    return sum(file.size_bytes for file in manifest.files)


def _check_file(file: ManifestFile) -> None:
    if not is_digest(file.digest):
        raise _invalid(f"The digest of {file.path} is not 64 hex digits.", file.path)
    for blob in file.blobs:
        if not is_digest(blob.digest):
            raise _invalid(f"A blob of {file.path} has a digest that is not 64 hex digits.", file.path)
        if blob.blake3 and not is_digest(blob.blake3):
            raise _invalid(f"A blob of {file.path} has a BLAKE3 that is not 64 hex digits.", file.path)
        if not 1 <= blob.size_bytes <= BLOB_BYTES:
            raise _invalid(
                f"A blob of {file.path} has {blob.size_bytes} bytes; it may have 1 to {BLOB_BYTES}.", file.path
            )
    total = sum(blob.size_bytes for blob in file.blobs)
    if total != file.size_bytes:
        raise _invalid(f"{file.path} has {file.size_bytes} bytes, its blobs {total}.", file.path)
    if file.digest != file_digest(file.blobs):
        raise _invalid(f"The digest of {file.path} is not the one that its blobs make.", file.path)


def _invalid(message: str, param: str) -> ServiceError:
    return ServiceError("invalid_manifest", message, param=param)
