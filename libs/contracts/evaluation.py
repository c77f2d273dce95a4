"""What is measured of a version, and the rules by which it is judged against another.

A *metric* is named `<task>/<measure or rule>`, for example `shop/exact_match`; larger is better for every measure but
those in `LOWER_IS_BETTER`. It is measured at each temperature of the plan, over all items (group `""`) and over each
tag; perplexity does not depend on a temperature and stands at 0.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

LOWER_IS_BETTER: Final = frozenset({"perplexity", "latency_ms", "first_token_ms"})


class Measure(StrEnum):
    """How one answer, or all of them, are scored; shares and scores are from 0 to 1."""

    EXACT_MATCH = "exact_match"
    TOKEN_F1 = "token_f1"  # noqa: S105 - tokens of text
    CLASSIFICATION = "classification"
    """Four metrics over the labels that the references name: `accuracy`, and macro `precision`, `recall` and `f1`."""
    BLEU = "bleu"
    """sacrebleu, over the corpus, divided by 100."""
    ROUGE_L = "rouge_l"
    PERPLEXITY = "perplexity"
    """Of the references under the weights themselves, outside the serving plane."""
    LATENCY_MS = "latency_ms"
    """Of a whole answer, the mean; answers that never came are left out, as in the next."""
    FIRST_TOKEN_MS = "first_token_ms"  # noqa: S105 - tokens of text


class Task(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Questions with references, and how answers are scored."""

    name: str
    dataset: str = ""
    """Reference of a data set of shape evaluation; or else:"""
    file: str = ""
    """A JSONL file of such rows, or an lm-eval task in YAML, on the machine of the trainer or of the command line.

    A row has `messages` and, if it likes, `reference` or `references` (any of them is right), `tags`, `labels` (what a
    classifier may say), `id`, and `cluster`: items that go wrong together, such as one wording about many products."""
    split: str = "test"
    measures: tuple[Measure, ...] = (Measure.EXACT_MATCH,)
    rules: tuple[str, ...] = ()
    """Each scores an answer 1 or 0 and is a metric `<task>/<rule>`: a name of `services.trainer.evaluation.rules`, or
    `<name>=<regular expression>` that the answer must contain."""
    limit: int = 0
    """Items at most, the first by hash; 0 is all."""
    max_tokens: int = 256


class Judge(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Compares two answers in both orders; where the orders disagree it is a tie."""

    model: str = ""
    """Any served model; or else:"""
    rule: str = ""
    """A rule's name: an answer that fulfils it beats one that does not."""
    instruction: str = ""
    """What the model is told to look at."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One condition of a gate; it must hold by its confidence interval in each of its groups and temperatures."""

    metric: str
    """`<task>/<measure or rule>`, or `<task>/win_rate`."""
    kind: Literal["better", "not_worse", "at_least", "at_most_ratio"]
    """Against the baseline, or against a number."""
    margin: float = 0.0
    """`better`: by more than this. `not_worse`: by at most this, on the scale of the metric. `at_least`: the number.
    `at_most_ratio`: candidate ÷ baseline. A win rate is compared with one half."""
    slack: float = 0.0
    """How far the interval may reach beyond the margin for want of data, as long as it is not shown to lie beyond it. A
    margin of 0.05 with a slack of 0.15 passes what is shown not to lose 0.20 and is not shown to lose 0.05."""
    groups: Literal["all", "each", "both"] = "all"
    """Over all items, over each tag that has `min_items`, or both."""
    min_items: int = 30
    """With fewer, a few answers by luck decide: the finding is unknown. Groups that are looked at one by one are left
    out then, and named."""
    temperatures: tuple[float, ...] = ()
    """Empty: each of the plan."""


class Gate(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Says what a candidate must be."""

    rules: tuple[Rule, ...] = ()
    confidence: float = 0.95
    """Of each interval. That a finding is beyond its margin is said after Holm's correction over those of its rule."""


class EvaluationPlan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Declares a comparison on questions that training never saw."""

    tasks: tuple[Task, ...]
    candidate: str = ""
    """Any reference; empty only inside a training plan."""
    baseline: str = ""
    """Any reference; empty: the name's champion, or the base where there is none."""
    temperatures: tuple[float, ...] = (0.0, 0.7)
    samples: int = 1
    """Answers per item at temperatures above 0; each has a seed of its own."""
    seed: int = 0
    judge: Judge | None = None
    gate: Gate = Gate()
    """Without rules: what `services.trainer.evaluation.defaults` makes of the tasks; the report states it."""
    concurrency: int = 8
    """Answers that are asked for at the same time."""
    trained_on: tuple[str, ...] = ()
    """References of data sets; items that are in one, or nearly, are left out and named. Empty: the lineage of the
    candidate."""
    near_duplicates: float = 0.9
    """MinHash Jaccard from which an item counts as seen."""


class DeclaredTask(Task, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredJudge(Judge, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredRule(Rule, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""


class DeclaredGate(Gate, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""

    rules: tuple[DeclaredRule, ...] = ()


class DeclaredEvaluationPlan(EvaluationPlan, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """As a person writes it: a field that nobody knows is a mistake."""

    tasks: tuple[DeclaredTask, ...]
    judge: DeclaredJudge | None = None
    gate: DeclaredGate = DeclaredGate()


class Outcome(StrEnum):
    """What a gate, or one of its rules, says."""

    BETTER = "better"
    NOT_WORSE = "not_worse"
    WORSE = "worse"
    UNKNOWN = "unknown"
    """Not enough evidence, or a number is missing; it never passes."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one rule found in one group at one temperature."""

    metric: str
    kind: str
    outcome: Outcome
    group: str = ""
    temperature: float = 0.0
    items: int = 0
    candidate: float | None = None
    baseline: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    """Of the difference (of the ratio for `at_most_ratio`, of the candidate for `at_least`)."""
    passed: bool = False
    reason: str = ""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A gate's answer: passed only if there are rules and every finding passed."""

    outcome: Outcome
    passed: bool
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    """In a sentence, for people."""


class MetricValue(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One number of a report, with its bootstrap interval."""

    metric: str
    temperature: float
    items: int
    group: str = ""
    candidate: float | None = None
    baseline: float | None = None
    candidate_low: float | None = None
    candidate_high: float | None = None
    baseline_low: float | None = None
    baseline_high: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    """Paired over items."""


class EvaluationReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`report.json` of a version of kind report; `report.html` shows the same."""

    candidate: str
    baseline: str
    plan: EvaluationPlan
    values: tuple[MetricValue, ...]
    verdict: Verdict
    excluded: dict[str, int] = {}
    """Items of each task that were left out because training saw them."""
    counts: dict[str, int] = {}
    """Items of each task that were asked."""
    failures: dict[str, int] = {}
    """Answers that never came, by side and error code, for example `baseline/queue_timeout`; they count as wrong."""
