"""What a turn orders in each state, and what becomes of it."""

from typing import Any

import msgspec
import pytest

from libs.contracts.datasets import BuildDataset, DatasetJob, Selection, Shape
from libs.contracts.evaluation import Outcome, Verdict
from libs.contracts.rollouts import (
    TURN_ENDED,
    OrderRollout,
    Rollout,
    RolloutPlan,
    RolloutState,
    Turn,
    TurnState,
)
from libs.contracts.training import Job, JobKind, JobState, OrderTraining
from libs.kit.errors import ServiceError
from services.rollout.loops import turning
from tests.unit.rollout.looping import BASE, CHAMPION, NOW_MS, TURN_ID, a_loop, a_turn

LATER_MS = NOW_MS + 1_000
DATASET = "lessons@sha256:0123456789ab"
VERSION = f"helpdesk@sha256:{'c' * 64}"


def _build(**more: Any) -> DatasetJob:
    fields: dict[str, Any] = {
        "id": "job_1",
        "state": "running",
        "selection": a_loop().selection,
        "author": "a",
        "created_ms": 1,
    }
    return DatasetJob(**{**fields, **more})


def _job(state: JobState, **more: Any) -> Job:
    return Job(id="job_2", kind=JobKind.TRAINING, state=state, author="a", created_ms=1, changed_ms=1, **more)


def _rollout(state: RolloutState, reason: str = "") -> Rollout:
    return Rollout(id="roll_1", state=state, plan=RolloutPlan(), author="a", created_ms=1, changed_ms=1, reason=reason)


def _verdict(*, passed: bool) -> Verdict:
    return Verdict(outcome=Outcome.BETTER if passed else Outcome.WORSE, passed=passed, reason="it says so")


def _training() -> Turn:
    return turning.answered(a_turn(), _build(state="succeeded", reference=DATASET), LATER_MS)


def _rolling_out() -> Turn:
    done = _job(JobState.SUCCEEDED, version=VERSION, report="r", verdict=_verdict(passed=True))
    return turning.answered(_training(), done, LATER_MS)


def test_each_state_orders_one_thing_and_always_the_same() -> None:
    build, training, rollout = (turning.order_of(turn) for turn in (a_turn(), _training(), _rolling_out()))
    assert isinstance(build, BuildDataset)
    assert isinstance(training, OrderTraining)
    assert isinstance(rollout, OrderRollout)
    assert (build.selection.since_ms, build.selection.until_ms) == (0, NOW_MS)
    plan = training.plan
    assert (plan.name, plan.dataset, plan.base, plan.split) == ("helpdesk", DATASET, BASE, "train")
    assert plan.evaluation is not None
    assert plan.evaluation.baseline == CHAMPION
    assert (rollout.plan.name, rollout.plan.candidate, rollout.turn) == ("helpdesk", VERSION, TURN_ID)
    again = [turning.order_of(turn) for turn in (a_turn(), _training(), _rolling_out())]
    assert again == [build, training, rollout]
    assert len({build.id, training.id, rollout.id}) == 3
    assert build.id.startswith("job_")
    assert training.id.startswith("job_")
    assert rollout.id.startswith("roll_")
    assert all(len(one.id.partition("_")[2]) == 24 for one in (build, training, rollout))
    other = turning.order_of(a_turn(turn_id="turn_" + "2" * 24))
    assert other.id != build.id


def test_a_turn_that_has_ended_orders_nothing() -> None:
    for state in TURN_ENDED:
        with pytest.raises(ValueError, match="has ended"):
            turning.order_of(msgspec.structs.replace(a_turn(), state=state))


@pytest.mark.parametrize(
    ("since_ms", "window_s", "expected_ms"),
    [(0, 0.0, 0), (7, 0.0, 7), (0, 60.0, NOW_MS - 60_000), (NOW_MS - 5, 60.0, NOW_MS - 5)],
)
def test_the_window_and_the_declared_beginning_bound_the_selection(
    since_ms: int, window_s: float, expected_ms: int
) -> None:
    selection = Selection(name="lessons", shape=Shape.SFT, tenant="acme", since_ms=since_ms)
    turn = a_turn(a_loop(selection=selection, window_s=window_s))
    assert (turn.since_ms, turn.until_ms) == (expected_ms, NOW_MS)


@pytest.mark.parametrize(
    ("turn", "answer", "state", "reason"),
    [
        (a_turn(), _build(), TurnState.SELECTING, "its data set is built"),
        (a_turn(), _build(state="publishing"), TurnState.SELECTING, "its data set is built"),
        (a_turn(), _build(state="succeeded", reference=DATASET), TurnState.TRAINING, "made and measured"),
        (a_turn(), _build(state="failed", error="Nothing is left"), TurnState.FAILED, "Nothing is left"),
        (a_turn(), _build(state="cancelled"), TurnState.CANCELLED, "cancelled"),
        (_training(), _job(JobState.RUNNING), TurnState.TRAINING, "made and measured"),
        (_training(), _job(JobState.EVALUATING, version=VERSION), TurnState.TRAINING, "made and measured"),
        (_training(), _job(JobState.FAILED, error_code="disk_full", error="No room."), TurnState.FAILED, "disk_full"),
        (_training(), _job(JobState.CANCELLED), TurnState.CANCELLED, "cancelled"),
        (_training(), _job(JobState.SUCCEEDED, version=VERSION), TurnState.FAILED, "verdict"),
        (
            _training(),
            _job(JobState.SUCCEEDED, version=VERSION, verdict=_verdict(passed=False)),
            TurnState.HELD_BACK,
            "it says so",
        ),
        (
            _training(),
            _job(JobState.SUCCEEDED, version=VERSION, verdict=_verdict(passed=True)),
            TurnState.ROLLING_OUT,
            "rolled out",
        ),
        (_rolling_out(), _rollout(RolloutState.RUNNING), TurnState.ROLLING_OUT, "rolled out"),
        (_rolling_out(), _rollout(RolloutState.WATCHING), TurnState.ROLLING_OUT, "rolled out"),
        (_rolling_out(), _rollout(RolloutState.PROMOTED, "proved"), TurnState.PROMOTED, "proved"),
        (_rolling_out(), _rollout(RolloutState.ABORTED, "harm"), TurnState.TAKEN_BACK, "harm"),
        (_rolling_out(), _rollout(RolloutState.ROLLED_BACK), TurnState.TAKEN_BACK, "rolled_back"),
    ],
)
def test_an_answer_moves_a_turn(turn: Turn, answer: turning.Answer, state: TurnState, reason: str) -> None:
    after = turning.answered(turn, answer, LATER_MS)
    assert after.state is state
    assert reason in after.reason
    assert after.changed_ms == (turn.changed_ms if state is turn.state else LATER_MS)


def test_what_came_of_it_is_kept() -> None:
    turn = _rolling_out()
    assert (turn.dataset, turn.version, turn.report) == (DATASET, VERSION, "r")
    assert (turn.signals, turn.declared) == (200, a_loop())
    assert (turn.dataset_job, turn.job, turn.rollout) == ("job_1", "job_2", ""), "what has been ordered"


@pytest.mark.parametrize(
    ("turn", "code", "state"),
    [
        *((a_turn(), code, TurnState.SELECTING) for code in ("feedback_unavailable", "bus_unavailable")),
        (a_turn(), "storage_unavailable", TurnState.SELECTING),
        (a_turn(), "internal_error", TurnState.SELECTING),
        (_training(), "trainer_unavailable", TurnState.TRAINING),
        (_training(), "registry_unavailable", TurnState.TRAINING),
        (_training(), "bad_dataset", TurnState.FAILED),
        (_training(), "conflict", TurnState.FAILED),
        (_rolling_out(), "conflict", TurnState.ROLLING_OUT),
        (_rolling_out(), "version_not_found", TurnState.FAILED),
    ],
)
def test_who_is_away_is_waited_for_and_a_refusal_ends_the_turn(turn: Turn, code: str, state: TurnState) -> None:
    after = turning.refused(turn, ServiceError(code, "It says no."), LATER_MS)
    assert after.state is state
    assert "It says no." in after.reason


def test_the_budget_of_time_is_counted_from_the_beginning() -> None:
    limit_ms = round(a_loop().budget.turn_s * 1_000)
    assert not turning.overdue(a_turn(), NOW_MS + limit_ms)
    assert turning.overdue(a_turn(), NOW_MS + limit_ms + 1)
