"""The parts of `./llmos train`, `eval` and `jobs` that need no service: plans in YAML and options, how jobs read."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from cli.commands import eval as eval_command
from cli.commands import train
from cli.training import declare, follow, tables
from deploy.local.errors import StackError
from libs.contracts.evaluation import (
    DeclaredEvaluationPlan,
    DeclaredTask,
    EvaluationPlan,
    Gate,
    Outcome,
    Rule,
    Task,
    Verdict,
)
from libs.contracts.training import Job, JobKind, JobState, Method, OrderEvaluation, OrderTraining


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was ordered instead of being sent."""
    found: list[Any] = []
    monkeypatch.setattr(follow, "order", lambda _, request, **__: found.append(request))
    return found


def _run(command: Any, *arguments: str) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(command.run)
    return CliRunner().invoke(app, arguments)


def test_a_file_declares_a_training_and_its_files_lie_beside_it(tmp_path: Path, ordered: list[Any]) -> None:
    (tmp_path / "plan.yaml").write_text(
        """
        name: helpdesk
        dataset: lessons
        base: helpdesk
        recipe: {method: dpo, rank: 4, replay: good, replay_share: 0.2}
        evaluation:
          tasks:
            - {name: shop, file: items.jsonl}
          gate: {rules: [{metric: shop/exact_match, kind: better}]}
        """
    )
    assert _run(train, str(tmp_path / "plan.yaml")).exit_code == 0
    (request,) = ordered
    assert isinstance(request, OrderTraining)
    assert (request.plan.recipe.method, request.plan.recipe.rank) == (Method.DPO, 4)
    assert request.plan.evaluation is not None
    assert request.plan.evaluation.tasks[0].file == str(tmp_path / "items.jsonl")
    assert _run(train, str(tmp_path / "plan.yaml"), "--steps", "3").exit_code == 2


def test_options_declare_a_training(ordered: list[Any]) -> None:
    assert _run(train, "--dataset", "lessons", "--base", "helpdesk@2", "--steps", "7", "--full").exit_code == 0
    (request,) = ordered
    assert (request.plan.name, request.plan.base, request.plan.recipe.steps) == ("helpdesk", "helpdesk@2", 7)
    assert request.plan.recipe.full
    assert _run(train, "--base", "helpdesk").exit_code == 2
    assert _run(train, "--dataset", "lessons").exit_code == 2
    assert len(ordered) == 1


def test_options_declare_an_evaluation(tmp_path: Path, ordered: list[Any]) -> None:
    items = tmp_path / "shop.jsonl"
    items.write_text("{}\n")
    arguments = ("--candidate", "helpdesk@2", "--task", str(items), "--task", "faq@1", "--rule", "polite")
    assert _run(eval_command, *arguments, "--temperature", "0.5").exit_code == 0
    (request,) = ordered
    assert isinstance(request, OrderEvaluation)
    assert request.plan.tasks == (
        DeclaredTask(name="shop", file=str(items), rules=("polite",)),
        DeclaredTask(name="faq", dataset="faq@1", rules=("polite",)),
    )
    assert request.plan.temperatures == (0.5,)
    assert _run(eval_command, "--candidate", "helpdesk@2").exit_code == 2


def test_a_plan_is_used_for_another_candidate(tmp_path: Path, ordered: list[Any]) -> None:
    plan = tmp_path / "gate.yaml"
    plan.write_text("{tasks: [{name: shop, dataset: faq}], candidate: a, baseline: b}")
    assert _run(eval_command, str(plan), "--candidate", "c").exit_code == 0
    assert (ordered[0].plan.candidate, ordered[0].plan.baseline) == ("c", "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "not YAML"),
        ("- a", "names and values"),
        ("dataset: x", "name"),
        ("{name: x, dataset: y, recipe: {step: 3}}", "step"),
        ("{name: x, dataset: y, recipe: {method: magic}}", "magic"),
        ("{name: x, dataset: y, evaluation: {tasks: [{name: t, measure: bleu}]}}", "measure"),
        ("{name: x, dataset: y, evaluation: {tasks: 3}}", "tasks"),
        ("{name: x, dataset: y, evaluation: {tasks: [], gate: {rules: [{metric: a/b, kind: best}]}}}", "kind"),
    ],
)
def test_what_is_mistyped_is_said_and_never_ignored(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(StackError, match=said):
        declare.training(path)


def test_options_that_are_no_plan_are_refused() -> None:
    with pytest.raises(typer.BadParameter):
        declare.from_options({"tasks": [], "seed": "x"}, DeclaredEvaluationPlan)


def _job(state: JobState, verdict: Verdict | None, *rules: Rule) -> Job:
    plan = EvaluationPlan(tasks=(Task(name="shop", dataset="faq"),), candidate="a@1", gate=Gate(rules=rules))
    return Job(
        id="job_1",
        kind=JobKind.EVALUATION,
        state=state,
        author="ann",
        created_ms=1,
        changed_ms=2,
        evaluation=plan,
        verdict=verdict,
        error="[bold]no[/bold]\x1b[2J",
    )


def test_a_gate_that_is_not_passed_counts_as_failure() -> None:
    rule = Rule(metric="shop/exact_match", kind="better")
    worse, better = (Verdict(outcome=outcome, passed=passed) for outcome, passed in (
        (Outcome.WORSE, False), (Outcome.BETTER, True)))  # fmt: skip
    assert tables.is_well(_job(JobState.SUCCEEDED, better, rule))
    assert not tables.is_well(_job(JobState.SUCCEEDED, worse, rule))
    assert tables.is_well(_job(JobState.SUCCEEDED, worse))
    assert tables.is_well(_job(JobState.QUEUED, None, rule))
    assert not tables.is_well(_job(JobState.FAILED, None))
    assert not tables.is_well(_job(JobState.CANCELLED, None))


def test_texts_of_others_cannot_order_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    job = _job(JobState.FAILED, None)
    tables.jobs([job])
    tables.job(job)
    tables.outcome(msgspec.structs.replace(job, error="\x1b[2J"))
    said = capsys.readouterr()
    assert "job_1" in said.out
    assert "[bold]no[/bold]" in said.out
    assert "\x1b[2J" not in said.out + said.err
