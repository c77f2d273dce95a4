"""One turn of the study's loop on a tiny base: what is kept, what is told, and what a failure leaves."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from libs.contracts.datasets import DeclaredSelection, Shape
from libs.contracts.training import DeclaredTrainingPlan, Method, Recipe
from services.trainer.corpus.heldout import DEV
from services.trainer.corpus.items import Group
from services.trainer.generation import Generated
from services.trainer.study import loop as loops
from services.trainer.study.chosen import HABITS as HABITS_CHOSEN
from services.trainer.study.contest import contest
from services.trainer.study.customers import Habits
from services.trainer.study.exam import CHANGED, exam_rows, kind_answers, questions
from services.trainer.study.gate import GATE
from services.trainer.study.grading import Graded, figures
from services.trainer.study.likeness import likeness
from services.trainer.study.loop import Answered, Loop, Result, Round, Trial
from services.trainer.study.planted import bad, good
from services.trainer.study.served import evaluation, plan, selection
from services.trainer.study.table import change
from tests.unit.trainer.tiny import make_base

HABITS = Habits(ratings=24, correct_wrong=1.0, correction_cap=0.5)
RECIPE = Recipe(method=Method.SFT, steps=2, rank=2, batch_rows=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


def answered(wording: str, number: int, *, right: bool, temperature: float = 0.0) -> Answered:
    return Answered(
        group="facts",
        wording=wording,
        question=f"{wording} {number}",
        answer="",
        temperature=temperature,
        seed=0,
        stopped=True,
        right=right,
        polite=False,
        well_formed=True,
        outdated=None,
    )


def test_a_turn_keeps_ratings_rows_adapter_answers_and_result(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "DEV", DEV[:6])
    trial = Trial(name="tiny", habits=HABITS, recipe=RECIPE)
    loop = Loop(base, tmp_path, print)
    result = loop.run(trial)
    assert result.error == ""
    assert (result.ratings, result.up) == (24, 0)
    assert result.corrections == 12
    assert len((tmp_path / "tiny" / "round-0" / "train.jsonl").read_bytes().splitlines()) == 12
    kept = [msgspec.json.decode(x, type=Answered) for x in (tmp_path / "tiny" / "dev.jsonl").read_bytes().splitlines()]
    assert [one.temperature for one in kept] == [0.0] * 6 + [0.7] * 12
    assert set(result.figures) >= {"polite/all@0.0", "polite/all@0.7", "BLEU@0.0", "perplexity"}
    logged = msgspec.json.decode((tmp_path / "results.jsonl").read_bytes(), type=Result)
    assert logged == result
    assert loop.ratings(trial, 0, 24, None) == loop.ratings(trial, 0, 24, None)


def test_a_later_round_asks_what_was_made_before_and_learns_from_all_ratings(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "DEV", DEV[:2])
    trial = Trial(name="two", habits=HABITS, recipe=RECIPE, early=(Round(ratings=16, steps=1),))
    result = Loop(base, tmp_path, print).run(trial)
    assert (result.error, result.ratings, result.corrections) == ("", 40, 8 + 12)
    folder = tmp_path / "two"
    assert [len((folder / f"round-{n}" / "train.jsonl").read_bytes().splitlines()) for n in (0, 1)] == [8, 20]
    assert (folder / "ratings-1.json").exists()


def test_a_trial_that_fails_is_kept_with_its_reason(base: Path, tmp_path: Path) -> None:
    trial = Trial(name="hopeless", habits=HABITS, recipe=msgspec.structs.replace(RECIPE, rank=0))
    result = Loop(base, tmp_path, print).run(trial)
    assert "rank must be from 1 to 256" in result.error
    assert result.figures == {}
    assert msgspec.json.decode((tmp_path / "results.jsonl").read_bytes(), type=Result) == result


def test_questions_about_changed_prices_are_groups_of_their_own_with_todays_answer() -> None:
    asked = questions(DEV)
    changed = [one for one in asked if one.group == CHANGED]
    assert len(changed) == 4 * sum(i.wanted == changed[0].old and i.group is Group.FACTS for i in DEV)
    assert all(not one.item.wanted & one.old for one in changed)
    outdated = Graded(changed[0], Generated(min(changed[0].old), stopped=True))
    kind = Graded(changed[0], Generated(kind_answers(changed[0].item)[0], stopped=True))
    assert figures([outdated, kind]) == {
        f"right/{CHANGED}": 0.5,
        "polite/all": 0.5,
        "well formed/all": 1.0,
        "old price given": 0.5,
    }


def test_one_wording_asked_about_many_products_is_one_wording() -> None:
    asked = [one for one in questions(DEV) if one.item.group in (Group.FACTS, Group.UNKNOWN)]
    assert len(asked) > 500
    assert len({one.wording for one in asked}) < 60


def test_what_is_kind_and_right_is_as_like_the_references_as_can_be() -> None:
    asked = questions(DEV)[:50]
    kind = [Graded(one, Generated(kind_answers(one.item)[-1], stopped=True)) for one in asked]
    assert likeness(kind) == {"BLEU": pytest.approx(1.0), "ROUGE-L": 1.0}


def test_a_change_has_the_mean_of_seeds_and_an_interval_over_wordings() -> None:
    before = [answered(f"w{n % 10}", n, right=False) for n in range(40)]
    better = [answered(f"w{n % 10}", n, right=n % 10 < 5) for n in range(40)]
    best = [answered(f"w{n % 10}", n, right=True) for n in range(40)]
    found = change(before, [better, best], lambda one: float(one.right))
    assert (found.questions, found.before, found.after) == (40, 0.0, (0.5, 1.0))
    assert 0.5 <= found.low < 0.75 < found.high <= 1.0
    assert "| right | 40 | 0.0 | 75.0 | 50.0 | +75.0 [" in found.row("right")


def test_there_are_ten_bad_and_ten_good_adapters_of_different_names() -> None:
    names = [[trial.name for trial, _ in kind()] for kind in (bad, good)]
    assert [len(set(one)) for one in names] == [10, 10]


def test_the_contest_gives_every_method_several_settings_of_the_same_number_of_ratings() -> None:
    trials = list(contest(3))
    assert len({one.name for one in trials}) == len(trials)
    assert {one.habits.ratings for one in trials} == {HABITS_CHOSEN.ratings}
    tried = Counter(one.recipe.method for one in trials)
    assert set(tried) == {Method.SFT, Method.DPO, Method.KTO}
    assert min(tried.values()) >= 2


def test_what_is_sent_to_a_platform_is_what_its_contracts_take() -> None:
    rows = exam_rows(DEV)
    assert len({row["id"] for row in rows}) == len(DEV)
    assert all(row["references"] and row["messages"][-1]["role"] == "user" for row in rows)
    wanted = plan("kind", evaluation=evaluation(Path("/tmp/exam.jsonl")))  # noqa: S108 - only named
    sent = {**msgspec.to_builtins(wanted), "dataset": "judged@1", "base": "helpdesk"}
    assert msgspec.to_builtins(msgspec.convert(sent, DeclaredTrainingPlan)) == sent
    assert msgspec.convert(msgspec.to_builtins(selection("local", "judged", 1)), DeclaredSelection).shape is Shape.SFT
    assert wanted.evaluation is not None
    measured = {f"{t.name}/{m}" for t in wanted.evaluation.tasks for m in (*t.measures, *t.rules, "win_rate")}
    assert wanted.evaluation.judge is not None
    assert {rule.metric for rule in GATE.rules} <= measured
