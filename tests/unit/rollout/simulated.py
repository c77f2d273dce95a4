"""Simulated traffic on a rollout: requests and thumbs by topic, counted as the service would count them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from libs.contracts.rollouts import Decision, Guard, RolloutPlan, Step
from services.rollout.domain.deciding import decide
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.sequential import Arms, Counts

LOOK_S: Final = 30.0
REQUESTS_PER_LOOK: Final = 200
RATED: Final = 0.25
"""Of the requests that are answered."""
PLAN: Final = RolloutPlan(
    name="helpdesk",
    candidate="helpdesk@2",
    steps=(
        Step(share=0.05, min_requests=100, min_signals=20, max_s=20_000),
        Step(share=0.25, min_requests=400, min_signals=60, max_s=20_000),
        Step(share=0.5, min_requests=800, min_signals=150, max_s=20_000),
    ),
)
TOPICS: Final = {"price": 0.4, "stock": 0.25, "shipping": 0.15, "refund": 0.1, "talk": 0.1}
"""Shares of the requests."""


@dataclass(frozen=True)
class Behaviour:
    """How one version answers; shares from 0 to 1."""

    error: float = 0.002
    slow: float = 0.05
    odd_length: float = 0.02
    disapproval: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0.08))
    answers: bool = True
    is_rated: bool = True

    def on(self, topics: tuple[str, ...], disapproval: float) -> "Behaviour":
        """The same, but disliked on these topics."""
        return replace(self, disapproval={**self.disapproval, **dict.fromkeys(topics, disapproval)})


GOOD: Final = Behaviour()


@dataclass
class Traffic:
    """Counts of one step and arm, growing."""

    counts: dict[Guard, Counts] = field(default_factory=lambda: dict.fromkeys(Guard, Counts()))
    tags: dict[str, Counts] = field(default_factory=lambda: dict.fromkeys(TOPICS, Counts()))

    def grow(self, rng: np.random.Generator, behaviour: Behaviour, requests: int) -> None:
        """So many more requests."""
        if not behaviour.answers:
            return
        failed = self._add(rng, Guard.ERROR, requests, behaviour.error)
        answered = requests - failed
        self._add(rng, Guard.SLOW_FIRST_TOKEN, answered, behaviour.slow)
        self._add(rng, Guard.SLOW_TOKEN, answered, behaviour.slow)
        self._add(rng, Guard.ODD_LENGTH, answered, behaviour.odd_length)
        if not behaviour.is_rated:
            return
        for topic, count in zip(TOPICS, rng.multinomial(answered, list(TOPICS.values())), strict=True):
            rated = int(rng.binomial(count, RATED))
            down = int(rng.binomial(rated, behaviour.disapproval[topic]))
            self.tags[topic] = _plus(self.tags[topic], rated, down)
            self.counts[Guard.DISAPPROVAL] = _plus(self.counts[Guard.DISAPPROVAL], rated, down)

    def _add(self, rng: np.random.Generator, guard: Guard, total: int, share: float) -> int:
        bad = int(rng.binomial(total, share))
        self.counts[guard] = _plus(self.counts[guard], total, bad)
        return bad


@dataclass(frozen=True)
class Result:
    """How a simulated rollout ended."""

    decision: Decision
    requests: int
    """Of both versions, until then."""
    exposed: int
    """Of the candidate."""


def roll_out(seed: int, candidate: Behaviour, baseline: Behaviour = GOOD, plan: RolloutPlan = PLAN) -> Result:
    """Go through the plan's steps, looking every `LOOK_S`, until it is promoted or aborted."""
    rng = np.random.default_rng(seed)
    strata = [(Traffic(), Traffic())]
    number, age_s, requests, exposed = 0, 0.0, 0, 0
    while True:
        own = int(rng.binomial(REQUESTS_PER_LOOK, plan.steps[number].share))
        strata[-1][0].grow(rng, candidate, own)
        strata[-1][1].grow(rng, baseline, REQUESTS_PER_LOOK - own)
        requests, exposed, age_s = requests + REQUESTS_PER_LOOK, exposed + own, age_s + LOOK_S
        decision = decide(plan, number, age_s, _evidence(strata))
        if decision.action in ("promote", "abort"):
            return Result(decision, requests, exposed)
        if decision.action == "advance":
            number, age_s = number + 1, 0.0
            strata.append((Traffic(), Traffic()))


def _evidence(strata: list[tuple[Traffic, Traffic]]) -> Evidence:
    return Evidence(
        guards={guard: [Arms(own.counts[guard], other.counts[guard]) for own, other in strata] for guard in Guard},
        tags={topic: [Arms(own.tags[topic], other.tags[topic]) for own, other in strata] for topic in TOPICS},
    )


def _plus(counts: Counts, total: int, bad: int) -> Counts:
    return Counts(counts.total + total, counts.bad + bad)
