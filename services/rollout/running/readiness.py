"""Whether the workers that serve a name have loaded another version of it."""

from typing import Final

from libs.contracts.registry import Deployment, DeploymentStatus, WorkerStatus

_READY: Final = "ready"


def waits_for(statuses: tuple[DeploymentStatus, ...], *, candidate: str, baseline: str) -> str:
    """What keeps the pools that serve `baseline` from answering as `candidate`, for people; empty if nothing."""
    serving = [status for status in statuses if baseline in _told(status.deployment)]
    if not serving:
        return f"no pool serves {baseline}"
    reasons = [_pool_waits(status, candidate) for status in serving]
    if any(reasons):
        return "; ".join(reason for reason in reasons if reason)
    ready = [worker for status in serving for worker in status.workers if worker.state == _READY]
    return "" if ready else "no worker is ready"


def _pool_waits(status: DeploymentStatus, candidate: str) -> str:
    deployment = status.deployment
    if candidate not in _told(deployment):
        return f"the pool {deployment.pool} is not told of {candidate}"
    for worker in status.workers:
        if worker.state == _READY and not _offers(worker, deployment, candidate):
            return f"{worker.name} has not loaded {candidate}" + (f": {worker.error}" if worker.error else "")
    return ""


def _offers(worker: WorkerStatus, deployment: Deployment, candidate: str) -> bool:
    """A base goes by its exact reference or by a name of its own."""
    names = {candidate, *(name for name, reference in deployment.names.items() if reference == candidate)}
    return worker.revision == deployment.revision and bool(names & set(worker.models))


def _told(deployment: Deployment) -> set[str]:
    adapters = {version.reference for version in deployment.adapters}
    return {deployment.base.reference, *adapters, *deployment.names.values()}
