"""Published versions: how they are listed, shown, fetched, read back and retired."""

import msgspec

from libs.contracts.registry.manifests import Blob, Kind, Manifest


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One published version as lists show it."""

    reference: str
    """`<name>@sha256:<12 hex>`, the name under which it is served."""
    name: str
    digest: str
    """64 hex digits."""
    kind: Kind
    number: int
    """Counts up by one per name, from 1; for people."""
    size_bytes: int
    published_ms: int
    published_by: str
    base: str = ""
    aliases: tuple[str, ...] = ()
    tenant: str = ""
    """Who alone may see it; empty: everybody."""


class VersionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its manifest and model card."""

    version: Version
    manifest: Manifest
    card: str = ""
    """Text of its README.md, if it has one."""


class ListVersions(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    name: str = ""
    """Empty: of all names."""
    kind: Kind | None = None
    dataset: str = ""
    """Only those made from this data set: an exact reference, short or full."""
    before: str = ""
    """`next` of the page before."""
    limit: int = 100
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class VersionPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    versions: tuple[Version, ...]
    next: str = ""
    """Empty on the last page."""


class Resolve(msgspec.Struct, frozen=True, omit_defaults=True):
    """`name`, `name@alias`, `name@sha256:<at least 12 hex>` or `name@<number>`."""

    reference: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""
    weights_only: bool = False
    """Leave out the card of what may hold words that people wrote: data sets, reports, checkpoints."""


class FetchVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for URLs of a version's blobs."""

    reference: str
    skip: int = 0
    """Distinct blobs, in manifest order, to leave out: those of the pages before."""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""
    weights_only: bool = False
    """Refuse what may hold words that people wrote: data sets, reports, checkpoints."""


class BlobDownload(msgspec.Struct, frozen=True):
    """One blob and where to GET it."""

    blob: Blob
    url: str


class Fetch(msgspec.Struct, frozen=True):
    """What it takes to fetch a version; at most `UPLOAD_PAGE` URLs."""

    digest: str
    manifest: Manifest
    downloads: tuple[BlobDownload, ...]
    total: int
    """Distinct blobs of the version."""


class Verify(msgspec.Struct, frozen=True, omit_defaults=True):
    """Read every blob of a version back and compare."""

    reference: str
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class Verification(msgspec.Struct, frozen=True, omit_defaults=True):
    """What reading back found."""

    digest: str
    blobs: int
    size_bytes: int
    bad: tuple[str, ...]
    """Digests of blobs that are missing or wrong."""
    misstated: tuple[str, ...] = ()
    """Digests of blobs that are right, and of which the manifest states a BLAKE3 that is not theirs."""


class DeleteVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Retire a version that no alias, deployment or other version refers to."""

    reference: str
    author: str
    tenant: str = ""
    """Whose it must be; empty: anybody's."""


class VersionPublished(msgspec.Struct, frozen=True, kw_only=True):
    """A version became visible."""

    id: str
    time_ms: int
    version: Version
