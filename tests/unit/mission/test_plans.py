"""What the demo declares is understood by those whom it is sent to, and does what the demo says of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from cli.mission import plans
from libs.contracts.datasets import DeclaredSelection
from libs.contracts.evaluation import DeclaredEvaluationPlan
from libs.contracts.rollouts import Decision, DeclaredRolloutPlan, Guard, RolloutPlan
from libs.contracts.training import DeclaredTrainingPlan
from libs.kit.clock import seeded_random
from services.rollout.domain.deciding import decide
from services.rollout.domain.evidence import Evidence
from services.rollout.domain.sequential import Arms, Counts
from services.rollout.domain.validating import check_plan
from services.trainer.corpus.answers import statements
from services.trainer.corpus.catalogue import PRODUCTS, Attribute
from services.trainer.corpus.heldout import DEV
from services.trainer.study.customers import first_question
from services.trainer.study.exam import CHANGED, CHANGED_LATER, exam_rows
from services.trainer.study.live import RATED
from services.trainer.study.served_desk import topic

PLAN = plans.rollout("helpdesk", "helpdesk@2")
A_SECOND = 10
"""Requests; customers of a slow machine."""
Downs = Mapping[str, float]
"""Topic → of its thumbs, how many are down."""
GOOD: Downs = defaultdict(lambda: 0.1)


def roll_out(seed: int, candidate: Downs, baseline: Downs, plan: RolloutPlan = PLAN) -> Decision:
    """The plan carried out on customers of the demo, looked at every second."""
    rng = seeded_random(seed)
    counted: list[dict[tuple[str, bool], list[bool]]] = [defaultdict(list)]
    tags: dict[str, None] = {}
    number, age_s = 0, 0
    while True:
        for _ in range(A_SECOND):
            about, own = topic(first_question(rng, plans.VISITING).item), rng.random() < plan.steps[number].share
            counted[-1]["", own].append(False)
            if rng.random() < RATED and not (own and plan.steps[number].shadow):
                down = rng.random() < (candidate if own else baseline)[about]
                for tag in ("all", about):
                    counted[-1][tag, own].append(down)
                tags[about] = None
        age_s += 1
        decision = decide(plan, number, age_s, evidence(counted, tags))
        if decision.action in ("promote", "abort"):
            return decision
        if decision.action == "advance":
            number, age_s = number + 1, 0
            counted.append(defaultdict(list))


def evidence(counted: list[dict[tuple[str, bool], list[bool]]], tags: Mapping[str, None]) -> Evidence:
    def arms(tag: str) -> list[Arms]:
        return [Arms(counts(step[tag, True]), counts(step[tag, False])) for step in counted]

    return Evidence({Guard.ERROR: arms(""), Guard.DISAPPROVAL: arms("all")}, {tag: arms(tag) for tag in tags})


def counts(bad: list[bool]) -> Counts:
    return Counts(len(bad), sum(bad))


def test_all_declarations_are_of_the_strict_kind_and_make_sense() -> None:
    check_plan(PLAN)
    declared = (
        (plans.selection("a", 1), DeclaredSelection),
        (plans.training("a", "b", "c"), DeclaredTrainingPlan),
        (plans.evaluation(Path("/x"), "a", "b", must_gain=True), DeclaredEvaluationPlan),
        (PLAN, DeclaredRolloutPlan),
    )
    for one, kind in declared:
        msgspec.convert(msgspec.to_builtins(one), kind)


def test_the_exam_asks_for_every_changed_price_and_for_no_colour() -> None:
    items = plans.exam()
    groups = Counter(row["tags"][0] for row in exam_rows(items))
    assert len(items) == plans.EXAM_ITEMS
    assert groups[CHANGED] + groups[CHANGED_LATER] == 32
    colours = {text for one in PRODUCTS for text in statements(Attribute.COLOUR, one.name, one.colour)}
    assert not any(item.wanted & colours for item in items)
    assert any(item.wanted & colours for item in DEV)
    assert groups["facts"] >= plans.LARGE


@pytest.mark.parametrize("seed", range(2))
def test_a_much_better_version_is_promoted(seed: int) -> None:
    decision = roll_out(seed, GOOD, defaultdict(lambda: 0.87))
    assert decision.action == "promote", decision.reason


@pytest.mark.parametrize("seed", range(2))
def test_one_that_is_wrong_about_colours_alone_is_stopped_and_for_that(seed: int) -> None:
    rumour = defaultdict(lambda: 0.1, {plans.LEFT_OUT.value: 0.95})
    decision = roll_out(seed, rumour, GOOD)
    assert decision.action == "abort"
    assert [one.tag for one in decision.findings if one.harm] == [plans.LEFT_OUT.value]
