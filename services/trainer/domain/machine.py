"""The states of a job: what may follow what, who may ask for it, and when an unlucky job is given up."""

from dataclasses import dataclass
from typing import Final

from libs.contracts.training import TRANSITIONS, JobState
from libs.kit.errors import ServiceError

HELD: Final = (JobState.CLAIMED, JobState.RUNNING, JobState.PUBLISHING)
"""A trainer works on it and renews its lease."""
MOST_DEATHS: Final = 3
"""So often may a process die without a newer checkpoint."""
_WISHES: Final = {"pause": JobState.PAUSED, "resume": JobState.QUEUED, "cancel": JobState.CANCELLED}


class LostError(Exception):
    """The job is not ours any more: paused, cancelled, ended, or claimed by another trainer."""


@dataclass(frozen=True)
class Standing:
    """As much of a job as decides who may change it."""

    state: JobState
    epoch: int


def step(standing: Standing, epoch: int, to: JobState) -> bool:
    """Whether the holder of `epoch` still has to bring the job to `to`; False: it is there already.

    Raises:
        LostError: another epoch has begun, or the state does not lead there any more.
    """
    if standing.epoch != epoch:
        raise LostError(f"epoch {standing.epoch} has begun after {epoch}")
    if standing.state is to:
        return False
    if to not in TRANSITIONS[standing.state]:
        raise LostError(f"it is {standing.state} and cannot become {to}")
    return True


def wish(job_id: str, state: JobState, verb: str) -> JobState | None:
    """The state that a person's `pause`, `resume` or `cancel` leads to; None where it is so already.

    Raises:
        ServiceError: `conflict`, it cannot be done in this state.
    """
    to = _WISHES[verb]
    if state is to or (verb == "resume" and state in HELD):
        return None
    # Only a paused job is resumed: what runs is put back by its trainer alone.
    allowed = state is JobState.PAUSED if verb == "resume" else to in TRANSITIONS[state]
    if not allowed:
        raise ServiceError("conflict", f"The job {job_id} is {state.value}: {verb} is not possible.", param="id")
    return to


def deaths_after(deaths: int, death_step: int, checkpoint_step: int) -> int:
    """How often in a row the process has died since the checkpoint of `checkpoint_step`, this time included."""
    return deaths + 1 if deaths and death_step == checkpoint_step else 1
