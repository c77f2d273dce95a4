"""Messages of the registry: manifests, versions, aliases, uploads, deployments, and what a worker needs to fetch one.

A *version* is a manifest; its digest is the SHA-256 of the manifest's canonical JSON (`libs.contracts.versions`). Its
bytes lie in S3 as *blobs* named by their own digest. Calls go to `subjects.registry_call(<operation>)` as core
requests; every answer is a `Reply`. `OPERATIONS` pairs each operation with its request and its result.
"""

from enum import StrEnum
from typing import Final

import msgspec

from libs.contracts.calls import Empty

BLOB_BYTES: Final = 64 << 20
"""Files are cut into blobs of this size (the last one smaller), so that a broken transfer resumes close by."""

DEFAULT_ALIAS: Final = "champion"
"""What a model's bare name stands for."""


class Kind(StrEnum):
    """What a version is."""

    MODEL = "model"
    ADAPTER = "adapter"
    DATASET = "dataset"
    REPORT = "report"
    CHECKPOINT = "checkpoint"
    """What a training job needs to go on; its name is the job's."""


class Blob(msgspec.Struct, frozen=True):
    """Bytes in S3, named by what they are."""

    digest: str
    """64 hex digits, SHA-256."""
    size_bytes: int


class ManifestFile(msgspec.Struct, frozen=True):
    """One file of a version."""

    path: str
    """Relative, `/` between parts, never climbing."""
    digest: str
    """64 hex digits, SHA-256 of the whole file."""
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


class VersionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its manifest and model card."""

    version: Version
    manifest: Manifest
    card: str = ""
    """Text of its README.md, if it has one."""


class BeginUpload(msgspec.Struct, frozen=True, kw_only=True):
    """Announce a version; repeating it resumes."""

    manifest: Manifest
    author: str


class BlobUpload(msgspec.Struct, frozen=True):
    """One blob that the registry lacks, and where to PUT it."""

    blob: Blob
    url: str


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


class CommitUpload(msgspec.Struct, frozen=True):
    """All blobs are there: check them and make the version visible."""

    upload_id: str


class ListVersions(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    name: str = ""
    """Empty: of all names."""
    kind: Kind | None = None
    before: str = ""
    """`next` of the page before."""
    limit: int = 100


class VersionPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    versions: tuple[Version, ...]
    next: str = ""
    """Empty on the last page."""


class Resolve(msgspec.Struct, frozen=True):
    """`name`, `name@alias`, `name@sha256:<at least 12 hex>` or `name@<number>`."""

    reference: str


class FetchVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for URLs of a version's blobs."""

    reference: str
    skip: int = 0
    """Distinct blobs, in manifest order, to leave out: those of the pages before."""


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


class SetAlias(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Move an alias by compare-and-swap."""

    name: str
    alias: str
    target: str
    """Any reference of `Resolve`; empty removes the alias."""
    author: str
    expected: str | None = None
    """Full digest that it must point to now, empty for "must not exist", None for "whatever it is"."""
    reason: str = ""


class Alias(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where an alias points, and since when."""

    name: str
    alias: str
    digest: str
    """Empty: removed."""
    generation: int
    """Counts up by one per move."""
    author: str
    moved_ms: int
    reason: str = ""


class ListAliases(msgspec.Struct, frozen=True, omit_defaults=True):
    """Aliases of a name, or every move of one alias, newest first."""

    name: str
    history_of: str = ""


class AliasList(msgspec.Struct, frozen=True):
    """Aliases, or the moves of one."""

    aliases: tuple[Alias, ...]


class Deploy(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declare what a pool serves."""

    pool: str
    base: str
    """Any reference to a version of kind model."""
    author: str
    adapters: tuple[str, ...] = ()
    """Adapters to keep loaded whether an alias points to them or not."""
    engine_args: tuple[str, ...] = ()
    replicas: int = 1
    expected_generation: int | None = None
    """Compare-and-swap: refuse if the deployment has changed since; 0 for "must not exist"."""


class PoolName(msgspec.Struct, frozen=True):
    """Which pool."""

    pool: str


class DeployedVersion(msgspec.Struct, frozen=True):
    """A version as workers are told of it."""

    reference: str
    """`<name>@sha256:<12 hex>`."""
    digest: str
    """64 hex digits."""


class Deployment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The desired state of one pool: the value of its key in the deployments bucket."""

    pool: str
    generation: int
    """Counts up by one per change of anything below."""
    base: DeployedVersion
    adapters: tuple[DeployedVersion, ...] = ()
    names: dict[str, str] = {}
    """Every other name that is served, for example `helpdesk` and `helpdesk@champion`, to the reference behind it."""
    engine_args: tuple[str, ...] = ()
    replicas: int = 1
    desired_aliases: dict[str, str] = {}
    """`name@alias` → reference, where workers have yet to confirm that version; `names` gets it then."""


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment and how far its workers are."""

    deployment: Deployment
    workers: tuple["WorkerStatus", ...]
    error: str = ""
    """Why a new base does not go on to the next worker; empty if nothing is wrong."""


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one worker last said of itself."""

    worker: str
    name: str
    state: str
    generation: int
    """Of the deployment that it has fully carried out."""
    models: tuple[str, ...] = ()
    error: str = ""


class DeploymentList(msgspec.Struct, frozen=True):
    """Every pool."""

    deployments: tuple[DeploymentStatus, ...]


class Verify(msgspec.Struct, frozen=True):
    """Read every blob of a version back and compare."""

    reference: str


class Verification(msgspec.Struct, frozen=True):
    """What reading back found."""

    digest: str
    blobs: int
    size_bytes: int
    bad: tuple[str, ...]
    """Digests of blobs that are missing or wrong."""


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


class DeleteVersion(msgspec.Struct, frozen=True):
    """Retire a version that no alias, deployment or other version refers to."""

    reference: str
    author: str


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "upload_begin": (BeginUpload, Upload),
    "upload_commit": (CommitUpload, Version),
    "version_list": (ListVersions, VersionPage),
    "version_show": (Resolve, VersionDetails),
    "version_fetch": (FetchVersion, Fetch),
    "version_verify": (Verify, Verification),
    "version_delete": (DeleteVersion, Empty),
    "alias_set": (SetAlias, Alias),
    "alias_list": (ListAliases, AliasList),
    "deployment_declare": (Deploy, DeploymentStatus),
    "deployment_show": (PoolName, DeploymentStatus),
    "deployment_list": (Empty, DeploymentList),
    "garbage_collect": (CollectGarbage, Garbage),
}


class VersionPublished(msgspec.Struct, frozen=True, kw_only=True):
    """A version became visible."""

    id: str
    time_ms: int
    version: Version


class AliasMoved(msgspec.Struct, frozen=True, kw_only=True):
    """An alias points somewhere else now."""

    id: str
    time_ms: int
    alias: Alias
    previous: str
    """Digest before; empty if there was none."""


class DeploymentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's desired state changed."""

    id: str
    time_ms: int
    deployment: Deployment
