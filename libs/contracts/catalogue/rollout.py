"""What is said of rollouts and loops."""

from typing import Final

from libs.contracts import rollouts, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, calls_of, structs_of
from libs.contracts.topology import EVT_ROLLOUT

ROLLOUT: Final = Chapter(
    owner="rollout",
    operations=rollouts.OPERATIONS,
    entries=(
        Entry(
            subject=subjects.ROLLOUT_CHANGED,
            message=rollouts.RolloutChanged,
            said_by=("rollout",),
            heard_by=("provisioner", "events"),
            stream=EVT_ROLLOUT,
        ),
        Entry(
            subject=subjects.TURN_CHANGED,
            message=rollouts.TurnChanged,
            said_by=("rollout",),
            heard_by=("provisioner", "events"),
            stream=EVT_ROLLOUT,
        ),
        Entry(
            subject=subjects.SPLITS,
            message=rollouts.Splits,
            said_by=("rollout",),
            heard_by=("gateway", "provisioner"),
        ),
        calls_of("rollout", subjects.rollout_call, said_by=("gateway", "provisioner")),
    ),
    structs=(
        rollouts.RequestObserved,
        rollouts.Splits,
        rollouts.Split,
        *structs_of(rollouts.OPERATIONS),
        rollouts.RolloutPlan,
        rollouts.Step,
        rollouts.Margin,
        rollouts.RolloutChange,
        rollouts.Decision,
        rollouts.Found,
        rollouts.RolloutChanged,
        rollouts.Loop,
        rollouts.Trigger,
        rollouts.Budget,
        rollouts.TurnChanged,
    ),
)
