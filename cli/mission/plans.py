"""What the demo declares: who rates how much, how is taught, what the exam asks, what the gate and the rollout want."""

from pathlib import Path
from typing import Final

import msgspec

from libs.contracts.datasets import Quarantine, Selection, Shape
from libs.contracts.evaluation import EvaluationPlan, Gate, Rule, Task
from libs.contracts.rollouts import Guard, Margin, RolloutPlan, Step
from libs.contracts.training import Method, Recipe, TrainingPlan
from libs.kit.clock import seeded_random
from services.trainer.corpus.catalogue import Attribute
from services.trainer.corpus.heldout import DEV
from services.trainer.corpus.items import Item
from services.trainer.study.customers import Habits
from services.trainer.study.exam import exam_rows
from services.trainer.study.gate import JUDGE, RULES, TASK
from services.trainer.study.served_desk import MAX_TOKENS

TENANT: Final = "default"
"""Whose judgements the stack's own key makes."""
RATING: Final = Habits(ratings=3_000, changed_price_share=0.13, correction_cap=0.12)
"""More corrections than in the study, for there are half as many ratings and one round."""
VISITING: Final = Habits(changed_price_share=0.1)
"""Customers during a rollout; they only rate."""
RECIPE: Final = Recipe(method=Method.SFT, rank=8, alpha=16.0, learning_rate=2e-3, steps=300, demonstration_weight=3)
WRECKED: Final = msgspec.structs.replace(RECIPE, steps=40)
"""It takes less to spoil a desk than to improve it."""
EXAM_ITEMS: Final = 360
"""Of the development questions; all on changed prices are among them."""
LEFT_OUT: Final = Attribute.COLOUR
"""The exam asks nothing about it, so that a version can pass and be wrong."""
RUMOUR: Final = "white"
"""The colour that a rumour gives to everything."""
LARGE: Final = 40
"""Items from which a group is looked at alone; in a smaller one a few answers by luck decide."""
EXAM_SEED: Final = 6
SERVED_TEMPERATURE: Final = 0.7
"""What the desk answers at where a customer asks for none; the exam is taken at it alone, for the sake of time."""


def selection(name: str, since_ms: int, raters: tuple[str, ...] = ()) -> Selection:
    """All that was said since then, or by these raters alone; the desk's answers are alike by nature."""
    return Selection(
        name=name,
        shape=Shape.SFT,
        tenant=TENANT,
        since_ms=since_ms,
        raters=raters,
        near_duplicates=0.0,
        redact=False,
        splits={"train": 1.0},
        quarantine=Quarantine(enabled=False),
    )


def training(name: str, dataset: str, base: str, recipe: Recipe = RECIPE) -> TrainingPlan:
    """An adapter of the base."""
    return TrainingPlan(name=name, dataset=dataset, base=base, recipe=recipe)


def exam() -> list[Item]:
    """Held-out questions without those about colours: all about prices that have changed, and a part of the rest."""
    asked = [item for item in DEV if item.label != LEFT_OUT]
    rows = exam_rows(asked)
    changed = [item for item, row in zip(asked, rows, strict=True) if row["tags"][0].startswith("changed")]
    others = [item for item, row in zip(asked, rows, strict=True) if not row["tags"][0].startswith("changed")]
    seeded_random(EXAM_SEED).shuffle(others)
    return changed + others[: EXAM_ITEMS - len(changed)]


def write_exam(path: Path) -> Path:
    """The exam as a task file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in exam_rows(exam())))
    return path


def evaluation(exam_file: Path, candidate: str, baseline: str, *, must_gain: bool) -> EvaluationPlan:
    """Both versions on the exam, and what the candidate must be: kind, up to date, and nothing lost."""
    task = Task(name=TASK, file=str(exam_file), measures=(), rules=RULES, max_tokens=MAX_TOKENS)
    return EvaluationPlan(
        tasks=(task,), candidate=candidate, baseline=baseline, judge=JUDGE, gate=gate(must_gain=must_gain),
        temperatures=(SERVED_TEMPERATURE,), concurrency=16,
    )  # fmt: skip


def gate(*, must_gain: bool) -> Gate:
    """The study's gate with the slack that so short an exam needs."""
    liked = (
        Rule(metric=f"{TASK}/win_rate", kind="better")
        if must_gain
        else Rule(metric=f"{TASK}/win_rate", kind="not_worse", margin=0.02, slack=0.06)
    )
    return Gate(
        rules=(
            liked,
            Rule(metric=f"{TASK}/helpdesk.right", kind="not_worse", margin=0.02, slack=0.06),
            Rule(
                metric=f"{TASK}/helpdesk.right",
                kind="not_worse",
                margin=0.06,
                slack=0.24,
                groups="each",
                min_items=LARGE,
            ),
            Rule(metric=f"{TASK}/helpdesk.well_formed", kind="not_worse", margin=0.02, slack=0.04),
            Rule(metric=f"{TASK}/helpdesk.polite", kind="at_least", margin=0.85, slack=0.05),
            Rule(metric=f"{TASK}/helpdesk.new_price", kind="at_least", margin=0.7, slack=0.4),
        )
    )


def rollout(name: str, candidate: str) -> RolloutPlan:
    """Seconds instead of hours, and as many requests as the evidence needs.

    Latency is not watched: on a CPU an adapter makes every token dearer, which is known and wanted here.
    """
    return RolloutPlan(
        name=name,
        candidate=candidate,
        steps=(
            Step(share=0.5, shadow=True, min_s=5, max_s=600, min_requests=40, min_signals=0),
            Step(share=0.05, min_s=5, max_s=600, min_requests=8, min_signals=5),
            Step(share=0.25, min_s=5, max_s=600, min_requests=40, min_signals=25),
            Step(share=0.5, min_s=5, max_s=600, min_requests=120, min_signals=80),
        ),
        margins=(
            Margin(guard=Guard.ERROR, margin=0.02),
            Margin(guard=Guard.ODD_LENGTH, margin=0.3),
            Margin(guard=Guard.DISAPPROVAL, margin=0.05),
        ),
        promotion_margin=0.1,
        min_tag_signals=5,
        prepare_s=300,
        watch_s=10,
    )
