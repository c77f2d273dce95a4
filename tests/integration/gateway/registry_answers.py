"""What a registry may answer, one result of each operation."""

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.registry import (
    Alias,
    AliasList,
    Blob,
    DeployedVersion,
    Deployment,
    DeploymentList,
    DeploymentStatus,
    Fetch,
    Garbage,
    Kind,
    Manifest,
    ManifestFile,
    Upload,
    Verification,
    Version,
    VersionDetails,
    VersionPage,
)

DIGEST = "ab" * 32
REFERENCE = f"helpdesk@sha256:{DIGEST[:12]}"
MANIFEST = Manifest(
    name="helpdesk", kind=Kind.MODEL, files=(ManifestFile("config.json", DIGEST, 2, (Blob(DIGEST, 2),)),)
)
VERSION = Version(
    reference=REFERENCE,
    name="helpdesk",
    digest=DIGEST,
    kind=Kind.MODEL,
    number=1,
    size_bytes=2,
    published_ms=1,
    published_by="ops",
)
ALIAS = Alias(name="helpdesk", alias="champion", digest=DIGEST, generation=2, author="ops", moved_ms=1)
STATUS = DeploymentStatus(
    deployment=Deployment(pool="default", generation=3, revision=9, base=DeployedVersion(REFERENCE, DIGEST)), workers=()
)
UPLOAD = Upload(upload_id="u1", digest=DIGEST, expires_ms=1, missing=(), missing_total=0)
GOOD: dict[str, msgspec.Struct] = {
    "upload_begin": UPLOAD,
    "upload_commit": VERSION,
    "version_list": VersionPage((VERSION,), "n2"),
    "version_show": VersionDetails(version=VERSION, manifest=MANIFEST, card="# Card"),
    "version_fetch": Fetch(DIGEST, MANIFEST, (), 1),
    "version_verify": Verification(DIGEST, 1, 2, ()),
    "version_delete": Empty(),
    "alias_set": ALIAS,
    "alias_list": AliasList((ALIAS,)),
    "deployment_declare": STATUS,
    "deployment_adjust": STATUS,
    "deployment_show": STATUS,
    "deployment_list": DeploymentList((STATUS,)),
    "garbage_collect": Garbage(dry_run=True, kept=1, candidates=0, deleted=0, deleted_bytes=0),
}
