"""What has been counted of both versions, and what it shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from libs.contracts.rollouts import Found, Guard, RolloutPlan
from services.rollout.domain.sequential import Arms, Counts, interval, log_evidence_not_worse, log_evidence_worse

_BASEL: Final = 6 / math.pi**2
"""Makes the weights 1/i² add up to 1, so that tags may go on appearing for ever."""
_TAGS_SHARE: Final = 0.5
"""Of the false-alarm budget that belongs to tags."""


@dataclass(frozen=True)
class Evidence:
    """Everything counted since the rollout began, one stratum per step."""

    guards: Mapping[Guard, Sequence[Arms]]
    tags: Mapping[str, Sequence[Arms]]
    """Disapproval by tag, in the order in which the tags first appeared."""
    units: Mapping[Guard, int] = field(default_factory=dict)
    """Of the last good version in the present step: how many episodes, users or requests were asked or judged, where
    that is known. What belongs to one of them goes to one version, so together they say no more than one."""

    def here(self, guard: Guard) -> Arms:
        """The stratum of the present step."""
        strata = self.guards.get(guard, ())
        return strata[-1] if strata else Arms(Counts(), Counts())


def together(strata: Sequence[Arms]) -> Arms:
    """The sums of all strata."""
    return Arms(_sum([arms.candidate for arms in strata]), _sum([arms.baseline for arms in strata]))


@dataclass(frozen=True)
class Question:
    """What is asked of one guard, over all requests or under one tag."""

    guard: Guard
    tag: str
    strata: Sequence[Arms]
    margin: float
    alpha: float
    """Its part of the chance of any false alarm, ever."""

    @property
    def harm(self) -> bool:
        """Whether the candidate is worse by more than the margin."""
        return log_evidence_worse(self.strata, self.margin) >= math.log(1 / self.alpha)

    def found(self) -> Found:
        """The numbers, with an interval that is valid at every look."""
        arms = together(self.strata)
        low, high = interval(self.strata, self.alpha)
        return Found(
            guard=self.guard,
            tag=self.tag,
            candidate_total=arms.candidate.total,
            candidate_bad=arms.candidate.bad,
            baseline_total=arms.baseline.total,
            baseline_bad=arms.baseline.bad,
            low=low,
            high=high,
            harm=self.harm,
        )


def questions(plan: RolloutPlan, evidence: Evidence) -> tuple[Question, ...]:
    """One per guard of the plan, then one per tag; their alphas add up to no more than `false_alarm`."""
    alpha = plan.false_alarm * (1 - _TAGS_SHARE) / max(1, len(plan.margins))
    asked = [
        Question(one.guard, "", evidence.guards[one.guard], one.margin, alpha)
        for one in plan.margins
        if one.guard in evidence.guards
    ]
    margin = next((one.margin for one in plan.margins if one.guard is Guard.DISAPPROVAL), None)
    if margin is not None:
        for number, (tag, strata) in enumerate(evidence.tags.items(), start=1):
            alpha = plan.false_alarm * _TAGS_SHARE * _BASEL / number**2
            asked.append(Question(Guard.DISAPPROVAL, tag, strata, margin, alpha))
    return tuple(asked)


def is_as_good(plan: RolloutPlan, evidence: Evidence) -> bool:
    """Whether it has been shown that disapproval of the candidate is within the promotion margin."""
    shown = log_evidence_not_worse(evidence.guards.get(Guard.DISAPPROVAL, ()), plan.promotion_margin)
    return shown >= math.log(1 / plan.promotion_error)


def unheard_tags(plan: RolloutPlan, evidence: Evidence) -> tuple[str, ...]:
    """Tags that the last good version was judged on and the candidate too rarely."""
    totals = {tag: together(strata) for tag, strata in evidence.tags.items()}
    enough = plan.min_tag_signals
    return tuple(tag for tag, arms in totals.items() if arms.candidate.total < enough <= arms.baseline.total)


def _sum(counts: Sequence[Counts]) -> Counts:
    return Counts(sum(one.total for one in counts), sum(one.bad for one in counts))
