"""What a tenant may see of a deployment that others' versions are part of."""

import msgspec

from libs.contracts.registry import DeploymentStatus, WorkerStatus


def seen_by(status: DeploymentStatus, tenant: str) -> DeploymentStatus | None:
    """The part of it that concerns `tenant`; None where its base is another tenant's. The platform sees all of it."""
    if not tenant:
        return status
    whole = status.deployment
    if whole.base.owner not in ("", tenant):
        return None
    adapters = tuple(version for version in whole.adapters if version.owner in ("", tenant))
    known = {whole.base.reference, *(version.reference for version in adapters)}
    part = msgspec.structs.replace(
        whole,
        adapters=adapters,
        names={name: reference for name, reference in whole.names.items() if reference in known},
        desired_aliases={name: reference for name, reference in whole.desired_aliases.items() if reference in known},
    )
    shown = known | part.names.keys()
    return DeploymentStatus(deployment=part, workers=tuple(_worker(worker, shown) for worker in status.workers))


def _worker(worker: WorkerStatus, shown: set[str]) -> WorkerStatus:
    """Without the names of others, and without errors, which may name them."""
    return msgspec.structs.replace(
        worker,
        models=tuple(name for name in worker.models if name in shown),
        missing=tuple(reference for reference in worker.missing if reference in shown),
        error="",
    )
