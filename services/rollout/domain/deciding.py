"""One look at a running rollout: go on waiting, take the next step, promote, or take it back."""

from typing import Final, Literal

from libs.contracts.rollouts import Decision, Found, Guard, RolloutPlan, Step
from services.rollout.domain.evidence import Evidence, Question, is_as_good, questions, together, unheard_tags

SILENCE: Final = 20.0
"""Outcomes that should have come by now. If none has, chance is no explanation (e^-20)."""
SILENCE_S: Final = 30.0
"""The first answers of a step may take so long."""
_MOST_TAGS: Final = 20


def decide(plan: RolloutPlan, number: int, step_age_s: float, evidence: Evidence) -> Decision:
    """What to do in step `number`, which has lasted `step_age_s`, on what has been counted since the rollout began."""
    step = plan.steps[number]
    asked = questions(plan, evidence)
    if trouble := _trouble(asked) or _silent_step(step, step_age_s, evidence):
        return _decided("abort", trouble, asked)
    if missing := _missing(plan, number, step_age_s, evidence):
        if step_age_s < step.max_s:
            # Without the numbers, which cost more than the decision: this is what most looks come to.
            return Decision(action="wait", reason=missing)
        return _decided("abort", f"After {step.max_s:g} s still missing: {missing}", asked)
    if number + 1 < len(plan.steps):
        return _decided("advance", "No harm was found with enough evidence.", asked)
    return _decided("promote", "It was shown to be as good, and no harm was found.", asked)


def stand_by(plan: RolloutPlan, number: int, step_age_s: float, evidence: Evidence) -> Decision:
    """What to do in step `number` while no step is to be taken: only harm and silence matter."""
    asked = questions(plan, evidence)
    if trouble := _trouble(asked) or _silent_step(plan.steps[number], step_age_s, evidence):
        return _decided("abort", trouble, asked)
    return Decision(action="wait", reason="It is paused.")


def watch(plan: RolloutPlan, age_s: float, evidence: Evidence) -> Decision:
    """What to do with a promoted version that has been watched for `age_s`: only harm and silence matter."""
    asked = questions(plan, evidence)
    is_due = age_s >= min(SILENCE_S, plan.watch_s / 2)
    silent = _silent(evidence, (1 - plan.holdback) / plan.holdback) if is_due else ""
    if trouble := _trouble(asked) or silent:
        return _decided("abort", trouble, asked)
    if age_s < plan.watch_s:
        return Decision(action="wait", reason=f"{plan.watch_s - age_s:.0f} s")
    return _decided("promote", f"No harm was found in {plan.watch_s:g} s after the promotion.", asked)


def told(asked: tuple[Question, ...]) -> tuple[Found, ...]:
    """The numbers of every guard, of the first tags, and of whatever shows harm: raters may invent tags without end."""
    tags = [one for one in asked if one.tag]
    left_out = {one.tag for one in tags[_MOST_TAGS:] if not one.harm}
    return tuple(one.found() for one in asked if one.tag not in left_out)


def _trouble(asked: tuple[Question, ...]) -> str:
    """What speaks against the candidate; empty if nothing."""
    return " ".join(_told(one) for one in asked if one.harm)


def _decided(action: Literal["advance", "promote", "abort"], reason: str, asked: tuple[Question, ...]) -> Decision:
    return Decision(action=action, reason=reason, findings=told(asked))


def _missing(plan: RolloutPlan, number: int, step_age_s: float, evidence: Evidence) -> str:
    """What the step still lacks; empty if nothing."""
    step = plan.steps[number]
    requests = evidence.here(Guard.ERROR).candidate.total
    signals = evidence.here(Guard.DISAPPROVAL).candidate.total
    lacks = []
    if step_age_s < step.min_s:
        lacks.append(f"{step.min_s - step_age_s:.0f} s")
    if requests < step.min_requests:
        lacks.append(f"{step.min_requests - requests} requests")
    if not step.shadow and signals < step.min_signals:
        lacks.append(f"{step.min_signals - signals} thumbs")
    if number + 1 == len(plan.steps):
        if not is_as_good(plan, evidence):
            lacks.append("proof that it is as good")
        if tags := unheard_tags(plan, evidence):
            lacks.append(f"thumbs on {', '.join(tags)}")
    return ", ".join(lacks)


def _silent_step(step: Step, step_age_s: float, evidence: Evidence) -> str:
    """The same of a step; mirrored requests may wait for long, and nobody is shown what they lack."""
    if step.shadow or step_age_s < min(SILENCE_S, step.min_s):
        return ""
    return _silent(evidence, step.share / (1 - step.share))


def _silent(evidence: Evidence, ratio: float) -> str:
    """Which metric of the candidate, which gets `ratio` times the last good version's traffic, does not come."""
    for guard, strata in evidence.guards.items():
        here = strata[-1]
        total = here.baseline.total
        if here.candidate.total == 0 and min(total, evidence.units.get(guard, total)) * ratio > SILENCE:
            return f"Nothing is heard of the candidate's {guard.value}; of the last good version {total}."
    return ""


def _told(asked: Question) -> str:
    arms = together(asked.strata)
    what = f"{asked.guard.value} on {asked.tag}" if asked.tag else asked.guard.value
    own, other = arms.candidate, arms.baseline
    return f"More {what}: {own.bad} of {own.total} against {other.bad} of {other.total}."
