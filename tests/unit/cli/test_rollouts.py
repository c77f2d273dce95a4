"""The parts of `./llmos rollout` and `./llmos loops` that need no service: plans and loops in YAML, how they read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from cli.commands import loops as loops_command
from cli.commands import rollout as rollout_command
from cli.rollouts import declare, tables, turns, verbs
from cli.rollouts import loops as loop_verbs
from deploy.local.errors import StackError
from libs.contracts import rollouts as r
from libs.contracts.rollouts import (
    DEFAULT_STEPS,
    Decision,
    FindLoops,
    Found,
    Guard,
    RolloutPlan,
    RolloutState,
    TurnState,
)
from services.rollout.domain.validating import check_plan
from services.rollout.loops.validating import check_loop

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "loops" / "helpdesk.yaml"
PLAN = RolloutPlan(name="helpdesk", candidate="helpdesk@3")
ROLLOUT = r.Rollout(
    id="roll_1",
    state=RolloutState.RUNNING,
    plan=PLAN,
    author="ops",
    created_ms=1,
    changed_ms=2,
    candidate="helpdesk@sha256:bbbbbbbbbbbb",
    baseline="helpdesk@sha256:aaaaaaaaaaaa",
    step=2,
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What was asked instead of being sent."""
    found: list[tuple[str, Any]] = []

    def ask(operation: str, request: Any) -> Any:
        found.append((operation, request))
        return _ANSWERS[operation]

    monkeypatch.setattr(loop_verbs, "ask", ask)
    monkeypatch.setattr(verbs, "ask", ask)
    return found


def _run(command: Any, *arguments: str) -> Any:
    app = typer.Typer(add_completion=False)
    for verb, run in command.VERBS.items():
        app.command(verb)(run)
    return CliRunner().invoke(app, arguments)


def _printed(draw: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> str:
    draw()
    return " ".join(capsys.readouterr().out.split())


def test_the_example_is_a_loop_that_can_turn() -> None:
    found = declare.loop(EXAMPLE)
    assert isinstance(found, r.DeclaredLoop)
    check_loop(found)
    check_plan(msgspec.structs.replace(found.rollout, name=found.model, candidate="helpdesk@2"))
    plain = msgspec.yaml.decode(EXAMPLE.read_bytes(), type=r.DeclaredLoop)
    assert (plain.selection, plain.trigger, plain.rollout) == (found.selection, found.trigger, found.rollout)


def test_a_loop_is_read_as_selections_and_evaluations_are(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(
        """
        name: a
        model: b
        selection: {name: c, shape: sft, since: 1970-01-02}
        evaluation: {tasks: [{name: d, file: items.jsonl}]}
        """
    )
    found = declare.loop(path)
    assert (found.selection.since_ms, found.selection.tenant) == (86_400_000, "")
    assert found.evaluation.tasks[0].file == str(tmp_path / "items.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "must hold names and values"),
        ("a: [", "is not YAML"),
        ("name: a", "missing required field"),
        ("{name: a, model: b, selection: {name: c, shape: sft}, evaluation: {tasks: []}, signals: 3}", "signals"),
        ("{name: a, model: b, selection: {name: c, shape: sft, since: soon}, evaluation: {tasks: []}}", "since"),
        ("{name: a, model: b, selection: 7, evaluation: {tasks: []}}", "selection"),
        ("{name: a, model: b, selection: {name: c, shape: sft}, evaluation: {tasks: 7}}", "tasks"),
        ("{name: a, model: b, selection: {name: c, shape: sft}, evaluation: {tasks: []}, rollout: {step: []}}", "step"),
    ],
)
def test_what_is_no_loop_is_refused_with_its_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(text)
    with pytest.raises(StackError, match=said):
        declare.loop(path)
    with pytest.raises(StackError, match="cannot be read"):
        declare.loop(tmp_path / "none.yaml")


def test_a_plan_is_the_usual_one_or_a_file_for_this_name(tmp_path: Path) -> None:
    usual = declare.plan(None, name="helpdesk", candidate="helpdesk@3")
    assert msgspec.to_builtins(usual.steps) == msgspec.to_builtins(DEFAULT_STEPS)
    path = tmp_path / "plan.yaml"
    path.write_text("{alias: stable, steps: [{share: 0.5, min_signals: 3}]}")
    found = declare.plan(path, name="helpdesk", candidate="helpdesk@3")
    assert (found.name, found.candidate, found.alias) == ("helpdesk", "helpdesk@3", "stable")
    assert [(step.share, step.min_signals, step.min_s) for step in found.steps] == [(0.5, 3, 300.0)]
    path.write_text("{name: other}")
    with pytest.raises(typer.BadParameter, match="other"):
        declare.plan(path, name="helpdesk", candidate="helpdesk@3")
    path.write_text("{steps: [{share: 0.5, shaddow: true}]}")
    with pytest.raises(StackError, match="shaddow"):
        declare.plan(path, name="helpdesk", candidate="helpdesk@3")


def test_why_it_waits_and_what_the_evidence_says_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    findings = (
        Found(guard=Guard.ERROR, candidate_total=40, candidate_bad=1, baseline_total=400, baseline_bad=2, low=-0.1,
              high=0.125),
        Found(guard=Guard.DISAPPROVAL, tag="[red]prices", candidate_total=8, candidate_bad=7, baseline_total=50,
              baseline_bad=5, low=0.3, high=0.9, harm=True),
        Found(guard=Guard.SLOW_TOKEN, baseline_total=9),
    )  # fmt: skip
    now = Decision(action="wait", reason="12 of 30 thumbs.", findings=findings)
    change = r.RolloutChange(time_ms=1, state=RolloutState.RUNNING, step=1, author="", reason="Enough.")
    status = r.RolloutStatus(rollout=ROLLOUT, now=now, history=(change,), agreement=0.5)
    text = _printed(lambda: tables.rollout(status), capsys)
    assert "It waits: 12 of 30 thumbs." in text
    assert "Step 3 of 4: 25%" in text
    assert "error 2.5% 1 of 40 0.5% 2 of 400 +2.0 between -10.0 and +12.5" in text
    assert "✗ disapproval: [red]prices 87.5% 7 of 8 10.0% 5 of 50 +77.5 between +30.0 and +90.0" in text
    assert "slow token nothing yet 0.0% 0 of 9" in text
    assert "50% of words" in text
    assert "running 2 of 4: 5% Enough." in text


def test_every_state_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rollouts = [msgspec.structs.replace(ROLLOUT, state=state, reason="why") for state in RolloutState]
    text = _printed(lambda: tables.rollouts(rollouts), capsys)
    assert all(state.value.replace("_", " ") in text for state in RolloutState)
    assert "watched, 10% held back" in text
    for one in rollouts:
        tables.outcome(one)
    ended = capsys.readouterr()
    assert "helpdesk@champion" in ended.out
    assert "is rolled back. why" in ended.err
    many = [msgspec.structs.replace(TURN, state=state) for state in TurnState]
    text = _printed(lambda: turns.turns(many), capsys)
    assert all(state.value.replace("_", " ") in text for state in TurnState)


LOOP = declare.loop(EXAMPLE)
TURN = r.Turn(id="turn_1", loop="helpdesk", number=4, state=TurnState.TRAINING, declared=LOOP, began_ms=1, changed_ms=2)
STATUS = r.LoopStatus(loop=LOOP, author="ops", changed_ms=1, turn=TURN, signals=7, waits_for="193 judgements")
_ANSWERS: dict[str, Any] = {
    "rollout_list": r.RolloutPage((ROLLOUT,)),
    "rollout_show": r.RolloutStatus(rollout=ROLLOUT),
    **{f"rollout_{verb}": ROLLOUT for verb in ("pause", "resume", "promote", "abort", "roll_back")},
    "loop_list": r.LoopList((STATUS,)),
    **{f"loop_{verb}": STATUS for verb in ("apply", "show", "pause", "resume")},
    "loop_remove": None,
    "loop_turn": TURN,
    "turn_list": r.TurnPage((TURN,)),
    "turn_show": TURN,
    "turn_cancel": TURN,
}


@pytest.mark.parametrize(
    ("command", "arguments", "operation", "request_", "said"),
    [
        (rollout_command, ("list", "--name", "x"), "rollout_list", r.FindRollouts(name="x", limit=20), "3 of 4"),
        (rollout_command, ("show", "roll_1"), "rollout_show", r.RolloutRef("roll_1"), "helpdesk@sha256:bbbbbbbbbbbb"),
        (rollout_command, ("abort", "roll_1", "--reason", "No."), "rollout_abort",
         r.SteerRollout(id="roll_1", author="operator", reason="No."), "roll_1 is running"),
        (rollout_command, ("roll-back", "roll_1"), "rollout_roll_back",
         r.SteerRollout(id="roll_1", author="operator"), "roll_1 is running"),
        (loops_command, ("list",), "loop_list", FindLoops(), "193 judgements"),
        (loops_command, ("show", "helpdesk"), "loop_show", r.LoopName("helpdesk"), "7 of 200"),
        (loops_command, ("pause", "helpdesk"), "loop_pause", r.LoopName("helpdesk"), "helpdesk is paused"),
        (loops_command, ("turn", "helpdesk"), "loop_turn", r.LoopName("helpdesk"), "turn_1 is training"),
        (loops_command, ("turns", "helpdesk"), "turn_list", r.FindTurns(loop="helpdesk", limit=20), "helpdesk 4"),
        (loops_command, ("turns", "turn_1"), "turn_show", r.TurnRef("turn_1"), "training"),
        (loops_command, ("cancel", "turn_1"), "turn_cancel", r.TurnRef("turn_1"), "turn_1 is training"),
        (loops_command, ("remove", "helpdesk"), "loop_remove", r.LoopName("helpdesk"), "helpdesk is removed"),
        (loops_command, ("apply", str(EXAMPLE)), "loop_apply", r.ApplyLoop(loop=LOOP, author="operator"),
         "193 judgements"),
    ],
)  # fmt: skip
def test_each_verb_asks_one_thing_and_tells_the_answer(
    asked: list[Any], command: Any, arguments: tuple[str, ...], operation: str, request_: Any, said: str
) -> None:
    done = _run(command, *arguments)
    assert done.exit_code == 0, done.output
    assert asked == [(operation, request_)]
    assert said in " ".join(done.output.split())
