"""Publishing: announce a manifest, send what is missing, have it checked; and what nothing refers to any more."""

from typing import Final

import msgspec

from libs.contracts.registry.manifests import Blob, Manifest
from libs.contracts.registry.versions import Version


class BeginUpload(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Announce a version; repeating it resumes."""

    manifest: Manifest
    author: str
    tenant: str = ""
    """Who asks: it may publish under names of its own only, and sees its versions alone; empty: the platform."""
    owner: str = ""
    """Where the platform asks: the tenant whose version it becomes, because its words are in it."""


class BlobUpload(msgspec.Struct, frozen=True, omit_defaults=True):
    """One blob that whoever owns the version has not sent, and where to PUT it."""

    blob: Blob
    url: str
    headers: dict[str, str] = {}
    """To be sent as they are, for the URL is signed for them; a checksum among them binds it to these bytes."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload in progress; its blobs are safe from garbage collection until it expires."""

    upload_id: str
    digest: str
    expires_ms: int
    missing: tuple[BlobUpload, ...]
    """At most `UPLOAD_PAGE` of them; ask again for more."""
    missing_total: int
    published: Version | None = None
    """Set if exactly this version exists already: nothing is left to do."""


UPLOAD_PAGE: Final = 256
"""Most URLs in one answer, so that it fits into a message."""


class CommitUpload(msgspec.Struct, frozen=True, omit_defaults=True):
    """All blobs are there: check them and make the version visible."""

    upload_id: str
    tenant: str = ""
    """Who began it; empty: the platform."""


class CollectGarbage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Delete blobs that nothing refers to."""

    dry_run: bool = True
    min_age_s: float = 86_400.0
    """Only blobs unmarked in two looks this far apart and not uploaded since."""


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """What garbage collection did, or would do."""

    dry_run: bool
    kept: int
    candidates: int
    """Unreferenced, but not for long enough."""
    deleted: int
    deleted_bytes: int
