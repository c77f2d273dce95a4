"""Simulated traffic on a rollout: requests and thumbs by topic, counted as the service would count them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from libs.contracts.rollouts import Decision, Guard, RolloutPlan, Step
from services.rollout.domain.deciding import decide, watch
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
Bad = Literal["failed", "slow", "odd", "wrong", "missing"]
"""What may be bad about an answer, whether anybody rates it or not."""


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

    def bad(self, what: Bad) -> float:
        """The share of its requests that it answers badly in this way."""
        if what == "missing" or not self.answers:
            return float(what == "missing" and not self.answers)
        if what == "failed":
            return self.error
        disliked = sum(share * self.disapproval[topic] for topic, share in TOPICS.items())
        return (1 - self.error) * {"slow": self.slow, "odd": self.odd_length, "wrong": disliked}[what]


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
    """Of both versions, from the first that the candidate got; after a promotion, from there on."""
    exposed: int
    """Of the candidate, in the same time."""
    watched: bool = False
    """Whether it had been promoted."""

    @property
    def seconds(self) -> float:
        """The same time."""
        return self.requests / REQUESTS_PER_LOOK * LOOK_S


def roll_out(
    seed: int,
    candidate: Behaviour,
    baseline: Behaviour = GOOD,
    plan: RolloutPlan = PLAN,
    later: Behaviour | None = None,
) -> Result:
    """Go through the plan's steps, looking every `LOOK_S`, until it is promoted or aborted.

    A promoted one is watched if `later` says how the candidate behaves from then on.
    """
    rng = np.random.default_rng(seed)
    strata = [(Traffic(), Traffic())]
    number, age_s, requests, exposed = 0, 0.0, 0, 0
    while True:
        own = _look(rng, strata[-1], candidate, baseline, plan.steps[number].share)
        requests, exposed, age_s = requests + REQUESTS_PER_LOOK, exposed + own, age_s + LOOK_S
        decision = decide(plan, number, age_s, _evidence(strata))
        if decision.action == "promote" and later is not None:
            return _watched(rng, strata, later, baseline, plan)
        if decision.action in ("promote", "abort"):
            return Result(decision, requests, exposed)
        if decision.action == "advance":
            number, age_s = number + 1, 0.0
            strata.append((Traffic(), Traffic()))


def _watched(
    rng: np.random.Generator,
    strata: list[tuple[Traffic, Traffic]],
    candidate: Behaviour,
    baseline: Behaviour,
    plan: RolloutPlan,
) -> Result:
    strata.append((Traffic(), Traffic()))
    age_s, requests, exposed = 0.0, 0, 0
    while True:
        own = _look(rng, strata[-1], candidate, baseline, 1 - plan.holdback)
        requests, exposed, age_s = requests + REQUESTS_PER_LOOK, exposed + own, age_s + LOOK_S
        decision = watch(plan, age_s, _evidence(strata))
        if decision.action != "wait":
            return Result(decision, requests, exposed, watched=True)


def _look(
    rng: np.random.Generator, now: tuple[Traffic, Traffic], candidate: Behaviour, baseline: Behaviour, share: float
) -> int:
    """The requests until the next look; how many of them are the candidate's."""
    own = int(rng.binomial(REQUESTS_PER_LOOK, share))
    now[0].grow(rng, candidate, own)
    now[1].grow(rng, baseline, REQUESTS_PER_LOOK - own)
    return own


def _evidence(strata: list[tuple[Traffic, Traffic]]) -> Evidence:
    return Evidence(
        guards={guard: [Arms(own.counts[guard], other.counts[guard]) for own, other in strata] for guard in Guard},
        tags={topic: [Arms(own.tags[topic], other.tags[topic]) for own, other in strata] for topic in TOPICS},
    )


def _plus(counts: Counts, total: int, bad: int) -> Counts:
    return Counts(counts.total + total, counts.bad + bad)
