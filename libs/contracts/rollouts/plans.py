"""What a rollout is: the steps in which a version gets its share of the traffic, and what would stop it.

Every metric is a share of *bad* outcomes, so that one exact test serves them all; what is slow or of odd length is
measured by the last good version's own quantiles.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec


class Guard(StrEnum):
    """What is counted as bad, of a request or of a signal."""

    ERROR = "error"
    """Ended with a fault of ours; what the client did wrong or called off is not counted."""
    SLOW_FIRST_TOKEN = "slow_first_token"  # noqa: S105 - a token of text
    """Later than 95 of 100 first tokens of the last good version."""
    SLOW_TOKEN = "slow_token"  # noqa: S105 - a token of text
    """More time per token than in 95 of 100 of its answers."""
    ODD_LENGTH = "odd_length"
    """Shorter or longer than 98 of 100 of its answers; nothing at all counts, too."""
    DISAPPROVAL = "disapproval"
    """An explicit thumb down, of all explicit thumbs; the only one that is also looked at by tag."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One step of a rollout; it ends well only with all of its evidence."""

    share: float
    """Of the traffic, above 0 and below 1. In a shadow step: of the requests that are also sent to the candidate."""
    shadow: bool = False
    """The candidate's answers are compared and never shown."""
    min_s: float = 300.0
    max_s: float = 86_400.0
    """Without the evidence by then the rollout is aborted: what is missing counts as failure."""
    min_requests: int = 100
    """Of the candidate."""
    min_signals: int = 30
    """Explicit thumbs of the candidate; shadow steps have none."""


class Margin(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How much larger the candidate's share of bad outcomes may be before it counts as harm."""

    guard: Guard
    margin: float


DEFAULT_MARGINS: Final = (
    Margin(guard=Guard.ERROR, margin=0.01),
    Margin(guard=Guard.SLOW_FIRST_TOKEN, margin=0.1),
    Margin(guard=Guard.SLOW_TOKEN, margin=0.1),
    Margin(guard=Guard.ODD_LENGTH, margin=0.2),
    Margin(guard=Guard.DISAPPROVAL, margin=0.02),
)
DEFAULT_STEPS: Final = (
    Step(share=0.1, shadow=True, min_signals=0),
    Step(share=0.05),
    Step(share=0.25),
    Step(share=0.5),
)


class RolloutPlan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declares how a candidate takes over a name."""

    name: str = ""
    """Of the model whose requests are divided; empty only inside a loop."""
    candidate: str = ""
    """Any reference; empty only inside a loop."""
    alias: str = "champion"
    """What is moved; requests for it, and for the bare name where it is the champion, are divided."""
    steps: tuple[Step, ...] = DEFAULT_STEPS
    margins: tuple[Margin, ...] = DEFAULT_MARGINS
    false_alarm: float = 0.01
    """Probability that a candidate as good as the last good version is ever stopped, however often one looks."""
    promotion_margin: float = 0.05
    """In the last step it must be shown that disapproval is not larger by more than this."""
    promotion_error: float = 0.05
    """Probability that a candidate beyond `promotion_margin` is promoted."""
    min_tag_signals: int = 10
    """A tag with as many thumbs on the last good version needs as many on the candidate before promotion."""
    prepare_s: float = 900.0
    """For all ready workers to offer the candidate; then the rollout is aborted."""
    watch_s: float = 600.0
    """After the alias has moved, how long it may still be moved back by itself; 0 ends with the move."""
    holdback: float = 0.1
    """Of the traffic, what the last good version keeps meanwhile, as there is nothing to compare with otherwise."""


class DeclaredStep(Step, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredMargin(Margin, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredRolloutPlan(RolloutPlan, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""

    steps: tuple[DeclaredStep, ...] = tuple(DeclaredStep(**msgspec.structs.asdict(one)) for one in DEFAULT_STEPS)
    margins: tuple[DeclaredMargin, ...] = tuple(
        DeclaredMargin(**msgspec.structs.asdict(one)) for one in DEFAULT_MARGINS
    )


class Found(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one guard showed at one look."""

    guard: Guard
    tag: str = ""
    candidate_total: int = 0
    candidate_bad: int = 0
    baseline_total: int = 0
    baseline_bad: int = 0
    low: float = -1.0
    high: float = 1.0
    """Of the difference, candidate minus last good version; valid at every look."""
    harm: bool = False


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one look at the evidence came to."""

    action: Literal["wait", "advance", "promote", "abort"]
    reason: str
    findings: tuple[Found, ...] = ()
