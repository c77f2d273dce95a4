"""One sample of every message of the registry, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import registry as r
from libs.contracts.calls import Empty, Fault, Reply

A, B, C = (character * 64 for character in "abc")
REFERENCE: Final = f"helpdesk@sha256:{A[:12]}"
BLOB: Final = r.Blob(B, 3)
MANIFEST: Final = r.Manifest(
    name="helpdesk",
    kind=r.Kind.ADAPTER,
    files=(r.ManifestFile("adapter_config.json", C, 3, (BLOB,)),),
    base=f"helpdesk@sha256:{C}",
    lineage=r.Lineage(job="j1", dataset=f"faq@sha256:{B}", code="0123abc"),
    metrics={"exact_match": 0.5},
    licence="Apache-2.0",
    annotations={"note": "n"},
)
VERSION: Final = r.Version(
    reference=REFERENCE,
    name="helpdesk",
    digest=A,
    kind=r.Kind.ADAPTER,
    number=2,
    size_bytes=3,
    published_ms=4,
    published_by="ann",
    base=f"helpdesk@sha256:{C}",
    aliases=("champion",),
)
ALIAS: Final = r.Alias(
    name="helpdesk", alias="champion", digest=A, generation=2, author="ann", moved_ms=5, reason="better"
)
DEPLOYMENT: Final = r.Deployment(
    pool="default",
    generation=3,
    revision=7,
    base=r.DeployedVersion(REFERENCE, A),
    adapters=(r.DeployedVersion(f"helpdesk@sha256:{B[:12]}", B),),
    names={"helpdesk": REFERENCE},
    engine_args=("--max-num-seqs", "16"),
    replicas=2,
    desired_aliases={"helpdesk@champion": f"helpdesk@sha256:{B[:12]}"},
)
STATUS: Final = r.DeploymentStatus(
    deployment=DEPLOYMENT,
    workers=(
        r.WorkerStatus(
            worker="w1",
            name="worker-0",
            state="ready",
            revision=7,
            models=(REFERENCE,),
            missing=(f"helpdesk@sha256:{B[:12]}",),
            error="no room",
        ),
    ),
    error="worker-1 did not come back",
)

SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "BeginUpload": r.BeginUpload(manifest=MANIFEST, author="ann"),
    "Upload": r.Upload(
        upload_id="u1",
        digest=A,
        expires_ms=9,
        missing=(r.BlobUpload(BLOB, "http://s3/b", {"x-amz-checksum-sha256": "u7s="}),),
        missing_total=1,
        published=VERSION,
    ),
    "CommitUpload": r.CommitUpload("u1"),
    "ListVersions": r.ListVersions(
        name="helpdesk", kind=r.Kind.MODEL, dataset="faq@sha256:0123456789ab", before="17", limit=10
    ),
    "VersionPage": r.VersionPage((VERSION,), next="17"),
    "Resolve": r.Resolve("helpdesk@champion"),
    "VersionDetails": r.VersionDetails(version=VERSION, manifest=MANIFEST, card="# Card"),
    "FetchVersion": r.FetchVersion(REFERENCE, skip=256),
    "Fetch": r.Fetch(A, MANIFEST, (r.BlobDownload(BLOB, "http://s3/b"),), 1),
    "SetAlias": r.SetAlias(
        name="helpdesk", alias="champion", target=REFERENCE, author="ann", expected=B, reason="better"
    ),
    "Alias": ALIAS,
    "ListAliases": r.ListAliases("helpdesk", history_of="champion"),
    "AliasList": r.AliasList((ALIAS,)),
    "Deploy": r.Deploy(
        pool="default",
        base="helpdesk@1",
        author="ann",
        adapters=("helpdesk@2",),
        engine_args=("--x",),
        replicas=2,
        expected_generation=6,
    ),
    "PoolName": r.PoolName("default"),
    "Deployment": DEPLOYMENT,
    "DeploymentStatus": STATUS,
    "DeploymentList": r.DeploymentList((STATUS,)),
    "Verify": r.Verify(REFERENCE),
    "Verification": r.Verification(digest=A, blobs=1, size_bytes=3, bad=(B,)),
    "VerificationOfMisstated": r.Verification(digest=A, blobs=1, size_bytes=3, bad=(), misstated=(B,)),
    "BlobDownloadWithBlake3": r.BlobDownload(r.Blob(B, 3, C), "http://s3/b"),
    "CollectGarbage": r.CollectGarbage(dry_run=False, min_age_s=60.0),
    "Garbage": r.Garbage(dry_run=True, kept=1, candidates=2, deleted=3, deleted_bytes=4),
    "DeleteVersion": r.DeleteVersion(REFERENCE, author="ann"),
    "Empty": Empty(),
    "Reply": Reply(result=msgspec.Raw(b"7"), error=Fault(code="conflict", message="it has changed", param="expected")),
    "VersionPublished": r.VersionPublished(id="e1", time_ms=1, version=VERSION),
    "AliasMoved": r.AliasMoved(id="e2", time_ms=2, alias=ALIAS, previous=B),
    "DeploymentChanged": r.DeploymentChanged(id="e3", time_ms=3, deployment=DEPLOYMENT),
}
