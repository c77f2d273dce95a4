"""What a version is: its manifest, the files in it, and the blobs that hold their bytes."""

from enum import StrEnum
from typing import Final

import msgspec

BLOB_BYTES: Final = 64 << 20
"""Files are cut into blobs of this size (the last one smaller), so that a broken transfer resumes close by."""

MAX_MANIFEST_BYTES: Final = 512 << 10
"""Of the canonical form, so that a manifest and a page of URLs fit into one message."""


class Kind(StrEnum):
    """What a version is."""

    MODEL = "model"
    ADAPTER = "adapter"
    DATASET = "dataset"
    REPORT = "report"
    CHECKPOINT = "checkpoint"
    """What a training job needs to go on; its name is the job's."""


class Blob(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes in S3, named by what they are."""

    digest: str
    """64 hex digits, SHA-256."""
    size_bytes: int
    blake3: str = ""
    """64 hex digits of the same bytes, by which whoever loads them checks them; empty: by the SHA-256."""


class ManifestFile(msgspec.Struct, frozen=True):
    """One file of a version."""

    path: str
    """Relative, `/` between parts, never climbing."""
    digest: str
    """64 hex digits: that of its only blob, which is the SHA-256 of the file; of a file of several blobs, or of none,
    the SHA-256 of their digests written one after the other (`libs.contracts.versions.file_digest`)."""
    size_bytes: int
    blobs: tuple[Blob, ...]
    """The file's bytes in order; empty for an empty file."""


class Lineage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a version came from."""

    job: str = ""
    dataset: str = ""
    """Full reference of the data set version."""
    code: str = ""
    """Commit of the code that made it."""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All that a version is; nothing of it ever changes."""

    name: str
    kind: Kind
    files: tuple[ManifestFile, ...]
    """Sorted by path."""
    base: str = ""
    """Full reference (`<name>@sha256:<64 hex>`) of the model an adapter belongs to."""
    lineage: Lineage = Lineage()
    metrics: dict[str, float] = {}
    licence: str = ""
    """SPDX expression."""
    annotations: dict[str, str] = {}
