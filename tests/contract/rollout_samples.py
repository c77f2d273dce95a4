"""One sample of every message of rollouts and loops, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import rollouts as r
from tests.contract.feedback_samples import REQUEST, SELECTION, VERSION
from tests.contract.training_samples import EVALUATION, RECIPE

ID: Final = "roll_0123456789abcdef01234567"
TURN_ID: Final = "turn_0123456789abcdef01234567"
BASELINE: Final = "helpdesk@sha256:fedcba987654"
PLAN: Final = r.RolloutPlan(
    name="helpdesk",
    candidate=VERSION,
    alias="canary",
    steps=(
        r.Step(share=0.2, shadow=True, min_s=1.0, max_s=2.0, min_requests=3, min_signals=0),
        r.Step(share=0.4, min_s=4.0, max_s=5.0, min_requests=6, min_signals=7),
    ),
    margins=(r.Margin(guard=r.Guard.ERROR, margin=0.03),),
    false_alarm=0.02,
    promotion_margin=0.04,
    promotion_error=0.06,
    min_tag_signals=8,
    prepare_s=9.0,
    watch_s=10.0,
    holdback=0.2,
)
DECISION: Final = r.Decision(
    action="abort",
    reason="More disapproval.",
    findings=(
        r.Found(
            guard=r.Guard.DISAPPROVAL,
            tag="refund",
            candidate_total=4,
            candidate_bad=3,
            baseline_total=2,
            baseline_bad=1,
            low=-0.5,
            high=0.5,
            harm=True,
        ),
    ),
)
ROLLOUT: Final = r.Rollout(
    id=ID,
    state=r.RolloutState.PAUSED,
    plan=PLAN,
    author="ann",
    created_ms=1,
    changed_ms=2,
    candidate=VERSION,
    baseline=BASELINE,
    step=1,
    step_began_ms=3,
    turn=TURN_ID,
    decision=DECISION,
    reason="because",
)
CHANGE: Final = r.RolloutChange(
    time_ms=1, state=r.RolloutState.RUNNING, step=1, author="ann", reason="because", decision=DECISION
)
SPLIT: Final = r.Split(
    rollout=ID,
    names=("helpdesk", "helpdesk@champion"),
    step=1,
    share=0.25,
    candidate=VERSION,
    baseline=BASELINE,
    shadow=True,
)
LOOP: Final = r.Loop(
    name="faq",
    model="helpdesk",
    selection=SELECTION,
    evaluation=EVALUATION,
    base="helpdesk@1",
    recipe=RECIPE,
    rollout=PLAN,
    trigger=r.Trigger(signals=9, min_interval_s=8.0),
    budget=r.Budget(turns_per_day=7, turn_s=6.0),
    window_s=5.0,
    paused=True,
    licence="MIT",
)
TURN: Final = r.Turn(
    id=TURN_ID,
    loop="faq",
    number=2,
    state=r.TurnState.ROLLING_OUT,
    declared=LOOP,
    began_ms=1,
    changed_ms=2,
    signals=3,
    since_ms=4,
    until_ms=5,
    base=f"helpdesk@sha256:{'a' * 64}",
    baseline=f"helpdesk@sha256:{'b' * 64}",
    dataset_job="job_1",
    dataset="faq@sha256:0123456789ab",
    job="job_2",
    version=VERSION,
    report="eval-helpdesk@sha256:0123456789ab",
    rollout=ID,
    reason="because",
    author="ann",
)
STATUS: Final = r.LoopStatus(
    loop=LOOP, author="ann", changed_ms=1, turn=TURN, signals=2, waits_for="the rollout of its turn"
)

ROLLOUT_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "RequestObserved": r.RequestObserved(
        id=f"{REQUEST}-observed",
        time_ms=1,
        request_id=REQUEST,
        rollout=ID,
        step=2,
        sticky="abc",
        arm="candidate",
        model_version=VERSION,
        outcome="error",
        mirror=True,
        fault=True,
        error_code="engine_error",
        first_token_ms=3,
        total_ms=4,
        completion_tokens=5,
        stream=True,
        agreement=0.5,
    ),
    "Splits": r.Splits(epoch=1, sequence=2, splits=(SPLIT,)),
    "RolloutPlan": PLAN,
    "RolloutPlanDefaults": r.RolloutPlan(),
    "Rollout": ROLLOUT,
    "RolloutStatus": r.RolloutStatus(rollout=ROLLOUT, now=DECISION, history=(CHANGE,), agreement=0.5),
    "OrderRollout": r.OrderRollout(plan=PLAN, author="ann", id=ID, turn=TURN_ID),
    "RolloutRef": r.RolloutRef(ID),
    "SteerRollout": r.SteerRollout(id=ID, author="ann", reason="because"),
    "FindRollouts": r.FindRollouts(name="helpdesk", state=r.RolloutState.RUNNING, before="9", limit=3),
    "RolloutPage": r.RolloutPage((ROLLOUT,), "9"),
    "RolloutChanged": r.RolloutChanged(id="e1", time_ms=1, rollout=ROLLOUT),
    "Loop": LOOP,
    "ApplyLoop": r.ApplyLoop(loop=LOOP, author="ann"),
    "LoopName": r.LoopName("faq", "ann"),
    "LoopStatus": STATUS,
    "LoopList": r.LoopList((STATUS,)),
    "Turn": TURN,
    "FindTurns": r.FindTurns(loop="faq", version=VERSION, dataset="faq@1", before="9", limit=3),
    "TurnPage": r.TurnPage((TURN,), "9"),
    "TurnRef": r.TurnRef(TURN_ID, "ann"),
    "TurnChanged": r.TurnChanged(id="e1", time_ms=1, turn=TURN),
}
