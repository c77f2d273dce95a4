"""Messages of the registry: manifests, versions, aliases, uploads, deployments, and what a worker needs to fetch one.

A *version* is a manifest; its digest is the SHA-256 of the manifest's canonical JSON (`libs.contracts.versions`). Its
bytes lie in S3 as *blobs* named by their own digest. Calls go to `subjects.registry_call(<operation>)` as core
requests; every answer is a `Reply`. `OPERATIONS` pairs each operation with its request and its result.
"""

from typing import Final

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.registry.aliases import DEFAULT_ALIAS, Alias, AliasList, AliasMoved, ListAliases, SetAlias
from libs.contracts.registry.deployments import (
    AdjustDeployment,
    Deploy,
    DeployedVersion,
    Deployment,
    DeploymentChanged,
    DeploymentList,
    DeploymentStatus,
    FindDeployments,
    PoolName,
    WorkerStatus,
)
from libs.contracts.registry.manifests import (
    BLOB_BYTES,
    MAX_MANIFEST_BYTES,
    Blob,
    Kind,
    Lineage,
    Manifest,
    ManifestFile,
)
from libs.contracts.registry.uploads import (
    UPLOAD_PAGE,
    BeginUpload,
    BlobUpload,
    CollectGarbage,
    CommitUpload,
    Garbage,
    Upload,
)
from libs.contracts.registry.versions import (
    BlobDownload,
    DeleteVersion,
    Fetch,
    FetchVersion,
    ListVersions,
    Resolve,
    Verification,
    Verify,
    Version,
    VersionDetails,
    VersionPage,
    VersionPublished,
)

__all__ = [
    "BLOB_BYTES",
    "DEFAULT_ALIAS",
    "MAX_MANIFEST_BYTES",
    "OPERATIONS",
    "UPLOAD_PAGE",
    "AdjustDeployment",
    "Alias",
    "AliasList",
    "AliasMoved",
    "BeginUpload",
    "Blob",
    "BlobDownload",
    "BlobUpload",
    "CollectGarbage",
    "CommitUpload",
    "DeleteVersion",
    "Deploy",
    "DeployedVersion",
    "Deployment",
    "DeploymentChanged",
    "DeploymentList",
    "DeploymentStatus",
    "Fetch",
    "FetchVersion",
    "FindDeployments",
    "Garbage",
    "Kind",
    "Lineage",
    "ListAliases",
    "ListVersions",
    "Manifest",
    "ManifestFile",
    "PoolName",
    "Resolve",
    "SetAlias",
    "Upload",
    "Verification",
    "Verify",
    "Version",
    "VersionDetails",
    "VersionPage",
    "VersionPublished",
    "WorkerStatus",
]

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
    "deployment_adjust": (AdjustDeployment, DeploymentStatus),
    "deployment_show": (PoolName, DeploymentStatus),
    "deployment_list": (FindDeployments, DeploymentList),
    "garbage_collect": (CollectGarbage, Garbage),
}
