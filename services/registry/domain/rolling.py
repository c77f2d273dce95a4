"""How a new base goes through a pool: one worker at a time, and never fewer ready workers than before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from libs.contracts.inference import WorkerBeat, WorkerState
from libs.contracts.registry import Deployment

REPEAT_MS: Final = 5_000
"""A worker that goes on as before is asked again after so long."""


class Roll(msgspec.Struct, frozen=True, kw_only=True):
    """The step that is under way: one worker was asked to start again."""

    worker: str
    name: str
    asked_ms: int
    repeated_ms: int
    """When it was last asked; the message may get lost."""
    ready: int
    """Ready workers before it was asked."""
    fresh: int
    """Those of them that had the new base."""


@dataclass(frozen=True)
class Step:
    """What to do now."""

    roll: Roll | None
    """To be remembered; None while nothing is under way."""
    ask: str = ""
    """Worker to ask to start again; empty for none."""
    error: str = ""
    """Why the roll does not go on."""


def advance(
    deployment: Deployment,
    engine_revision: int,
    workers: Sequence[WorkerBeat],
    roll: Roll | None,
    *,
    now_ms: int,
    timeout_ms: int,
) -> Step:
    """The next step, given the beats of every living worker of the pool.

    Workers that were given their model by their settings are left alone.

    Args:
        deployment: what workers are told.
        engine_revision: since which revision base and engine arguments are what they are.
        workers: living workers of this pool.
        roll: the step under way.
        now_ms: Unix time.
        timeout_ms: how long a worker may take to come back; then the roll stops until something is declared anew.
    """
    ready = sorted(
        (worker for worker in workers if worker.state is WorkerState.READY and worker.base),
        key=lambda worker: worker.worker,
    )
    stale = [worker for worker in ready if not is_fresh(worker, deployment, engine_revision)]
    fresh = len(ready) - len(stale)
    # The last beat of a worker that died in silence counts for a while; until it is gone nobody can be counted.
    lingers = roll is not None and any(worker.worker == roll.worker for worker in stale)
    if roll is not None and (lingers or fresh <= roll.fresh or len(ready) < roll.ready):
        return _wait(roll, stale, deployment, now_ms, timeout_ms)
    if not stale:
        return Step(None)
    chosen = stale[0]
    return Step(
        Roll(
            worker=chosen.worker,
            name=chosen.name,
            asked_ms=now_ms,
            repeated_ms=now_ms,
            ready=len(ready),
            fresh=fresh,
        ),
        ask=chosen.worker,
    )


def declared_anew(roll: Roll | None, error: str, now_ms: int) -> Roll | None:
    """What becomes of a step when something else is declared: the one worker that is away is still waited for."""
    if roll is None or error:
        return None
    return msgspec.structs.replace(roll, asked_ms=now_ms, repeated_ms=now_ms, fresh=-1)


def is_fresh(worker: WorkerBeat, deployment: Deployment, engine_revision: int) -> bool:
    """Whether the worker's engine runs what is declared.

    A worker that has not taken in any deployment yet has just started, so that its engine arguments are new.
    """
    current = worker.revision == 0 or worker.revision >= engine_revision
    return worker.base == deployment.base.reference and current


def _wait(roll: Roll, stale: Sequence[WorkerBeat], deployment: Deployment, now_ms: int, timeout_ms: int) -> Step:
    asked = next((worker for worker in stale if worker.worker == roll.worker), None)
    error = ""
    if now_ms - roll.asked_ms > timeout_ms:
        why = f": {asked.deployment_error}" if asked is not None and asked.deployment_error else "."
        error = (
            f"{roll.name} ({roll.worker}) did not come back with {deployment.base.reference} within"
            f" {timeout_ms / 1_000:g} s; the other workers keep what they have. Declare again to go on{why}"
        )
    if asked is None or now_ms - roll.repeated_ms < REPEAT_MS:
        return Step(roll, error=error)
    return Step(msgspec.structs.replace(roll, repeated_ms=now_ms), ask=roll.worker, error=error)
