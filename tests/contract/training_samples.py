"""One sample of every message of the trainer, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import evaluation as e
from libs.contracts import training as t

ID: Final = "job_0123456789abcdef01234567"
PARENT: Final = "job_fedcba9876543210fedcba98"
BASE: Final = f"helpdesk@sha256:{'a' * 64}"
LESSONS: Final = f"lessons@sha256:{'b' * 64}"
EVALUATION: Final = e.EvaluationPlan(
    tasks=(
        e.Task(
            name="shop",
            dataset=LESSONS,
            split="dev",
            measures=(e.Measure.BLEU,),
            rules=("polite",),
            limit=5,
            max_tokens=6,
        ),
        e.Task(name="local", file="/tmp/items.jsonl"),  # noqa: S108 - nothing is there
    ),
    candidate=BASE,
    baseline=BASE,
    temperatures=(0.5,),
    samples=2,
    seed=3,
    judge=e.Judge(model="helpdesk", rule="polite", instruction="i"),
    gate=e.Gate(
        rules=(
            e.Rule(metric="shop/polite", kind="better", margin=0.1, groups="each", min_items=7, temperatures=(0.5,)),
        ),
        confidence=0.9,
    ),
    trained_on=(LESSONS,),
    near_duplicates=0.8,
)
RECIPE: Final = t.Recipe(
    method=t.Method.DPO,
    full=True,
    rank=2,
    alpha=3.0,
    learning_rate=0.5,
    steps=4,
    batch_rows=5,
    accumulation=6,
    max_tokens=7,
    packing=True,
    precision=t.Precision.FLOAT32,
    demonstration_weight=9,
    replay=LESSONS,
    replay_share=0.25,
    sft_weight=0.75,
    beta=0.125,
    seed=10,
    checkpoint_steps=11,
    threads=12,
    devices=13,
)
PLAN: Final = t.TrainingPlan(
    name="helpdesk",
    dataset=LESSONS,
    base=BASE,
    split="dev",
    recipe=RECIPE,
    evaluation=EVALUATION,
    licence="MIT",
)
PROGRESS: Final = t.JobProgress(step=1, steps=2, loss=0.5, tokens_per_s=3.0, eta_s=4.0, note="n", checkpoint_step=5)
VERDICT: Final = e.Verdict(
    outcome=e.Outcome.BETTER,
    passed=True,
    findings=(
        e.Finding(
            metric="shop/polite",
            kind="better",
            outcome=e.Outcome.BETTER,
            group="g",
            temperature=0.5,
            items=1,
            candidate=0.9,
            baseline=0.5,
            difference=0.4,
            low=0.3,
            high=0.5,
            passed=True,
            reason="r",
        ),
    ),
    reason="It is better.",
)
JOB: Final = t.Job(
    id=ID,
    kind=t.JobKind.TRAINING,
    state=t.JobState.SUCCEEDED,
    author="root",
    created_ms=1,
    changed_ms=2,
    training=PLAN,
    epoch=3,
    trainer="t1",
    progress=PROGRESS,
    method="dpo",
    version=BASE,
    report=LESSONS,
    verdict=VERDICT,
    metrics={"loss": 0.5},
    error_code="conflict",
    error="e",
)
MEASURED: Final = t.Job(
    id=ID,
    kind=t.JobKind.EVALUATION,
    state=t.JobState.QUEUED,
    author="root",
    created_ms=1,
    changed_ms=2,
    evaluation=EVALUATION,
    parent=PARENT,
)

TRAINING_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "OrderTraining": t.OrderTraining(plan=PLAN, author="root", id=ID),
    "OrderEvaluation": t.OrderEvaluation(plan=EVALUATION, author="root", id=ID, parent=PARENT),
    "Job": JOB,
    "JobRef": t.JobRef(ID),
    "FindJobs": t.FindJobs(state=t.JobState.RUNNING, kind=t.JobKind.TRAINING, before="9", limit=3),
    "JobPage": t.JobPage((JOB, MEASURED), "8"),
    "ReadLog": t.ReadLog(id=ID, after=4, limit=5),
    "JobLog": t.JobLog((t.LogLine(1, 2, 3, "text"),)),
    "JobChanged": t.JobChanged(id="e1", time_ms=2, job=JOB),
    "JobProgressed": t.JobProgressed(job=ID, time_ms=1, epoch=2, progress=PROGRESS),
}
