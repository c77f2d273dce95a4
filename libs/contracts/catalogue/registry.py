"""What the registry hears and says, and where those who call a service are answered."""

from typing import Final

from libs.contracts import calls, registry, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import EVT_REGISTRY

REGISTRY: Final = Chapter(
    owner="registry",
    operations=registry.OPERATIONS,
    entries=(
        calls_of(
            "registry", subjects.registry_call, said_by=("gateway", "feedback", "trainer", "rollout", "provisioner")
        ),
        Entry(
            subject=subjects.registry_call("version_fetch"),
            message=registry.FetchVersion,
            said_by=("inference",),
            heard_by=("registry",),
        ),
        Entry(
            subject=subjects.call_inbox("gateway", "<token>"),
            message=calls.Reply,
            said_by=("scheduler", "registry", "feedback", "trainer", "rollout", "identity", "events", "audit"),
            heard_by=("gateway",),
        ),
        Entry(
            subject=subjects.call_inbox("inference", "<token>"),
            message=calls.Reply,
            said_by=("registry",),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.reload("<worker>"),
            message=None,
            payload="empty: finish what runs, then start again with the base that the pool is to serve",
            said_by=("registry",),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.deployment("<pool>"),
            message=registry.Deployment,
            said_by=("registry",),
            heard_by=("inference",),
        ),
        Entry(
            subject=subjects.VERSION_PUBLISHED,
            message=registry.VersionPublished,
            said_by=("registry",),
            heard_by=("provisioner", "events"),
            stream=EVT_REGISTRY,
        ),
        Entry(
            subject=subjects.ALIAS_MOVED,
            message=registry.AliasMoved,
            said_by=("registry",),
            heard_by=("provisioner", "events"),
            stream=EVT_REGISTRY,
        ),
        Entry(
            subject=subjects.DEPLOYMENT_CHANGED,
            message=registry.DeploymentChanged,
            said_by=("registry",),
            heard_by=("provisioner", "events"),
            stream=EVT_REGISTRY,
        ),
    ),
    structs=(
        *structs_of(registry.OPERATIONS),
        calls.Reply,
        calls.Fault,
        registry.Manifest,
        registry.ManifestFile,
        registry.Blob,
        registry.Lineage,
        registry.BlobUpload,
        registry.BlobDownload,
        registry.Deployment,
        registry.DeployedVersion,
        registry.WorkerStatus,
        registry.VersionPublished,
        registry.AliasMoved,
        registry.DeploymentChanged,
    ),
)
