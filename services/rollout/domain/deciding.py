"""One look at a running rollout: go on waiting, take the next step, promote, or take it back."""

from typing import Final, Literal

from libs.contracts.rollouts import Decision, Guard, RolloutPlan, Step
from services.rollout.domain.evidence import Evidence, Question, is_as_good, questions, together, unheard_tags

SILENCE: Final = 20.0
"""Outcomes that should have come by now. If none has, chance is no explanation (e^-20)."""


def decide(plan: RolloutPlan, number: int, step_age_s: float, evidence: Evidence) -> Decision:
    """What to do in step `number`, which has lasted `step_age_s`, on what has been counted since the rollout began."""
    step = plan.steps[number]
    asked = questions(plan, evidence)
    if harm := [one for one in asked if one.harm]:
        return _decided("abort", " ".join(_told(one) for one in harm), asked)
    if silent := _silent(step, evidence):
        return _decided("abort", silent, asked)
    if missing := _missing(plan, number, step_age_s, evidence):
        if step_age_s < step.max_s:
            # Without the numbers, which cost more than the decision: this is what most looks come to.
            return Decision(action="wait", reason=missing)
        return _decided("abort", f"After {step.max_s:g} s still missing: {missing}", asked)
    if number + 1 < len(plan.steps):
        return _decided("advance", "No harm was found with enough evidence.", asked)
    return _decided("promote", "It was shown to be as good, and no harm was found.", asked)


def _decided(action: Literal["advance", "promote", "abort"], reason: str, asked: tuple[Question, ...]) -> Decision:
    return Decision(action=action, reason=reason, findings=tuple(one.found() for one in asked))


def _missing(plan: RolloutPlan, number: int, step_age_s: float, evidence: Evidence) -> str:
    """What the step still lacks; empty if nothing."""
    step = plan.steps[number]
    requests = evidence.total(Guard.ERROR).candidate.total
    signals = evidence.total(Guard.DISAPPROVAL).candidate.total
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


def _silent(step: Step, evidence: Evidence) -> str:
    """Which metric of the candidate does not come although it should; empty if all do."""
    ratio = step.share if step.shadow else step.share / (1 - step.share)
    for guard, strata in evidence.guards.items():
        if step.shadow and guard is Guard.DISAPPROVAL:
            continue
        here = strata[-1]
        if here.candidate.total == 0 and here.baseline.total * ratio > SILENCE:
            return f"Nothing is heard of the candidate's {guard.value}; of the last good version {here.baseline.total}."
    return ""


def _told(asked: Question) -> str:
    arms = together(asked.strata)
    what = f"{asked.guard.value} on {asked.tag}" if asked.tag else asked.guard.value
    own, other = arms.candidate, arms.baseline
    return f"More {what}: {own.bad} of {own.total} against {other.bad} of {other.total}."
