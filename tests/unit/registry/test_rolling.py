"""A new base goes through a pool one worker at a time; a worker that does not come back stops it."""

from libs.contracts.inference import WorkerBeat, WorkerState
from libs.contracts.registry import DeployedVersion, Deployment
from services.registry.domain.rolling import REPEAT_MS, Roll, Step, advance, declared_anew

OLD, NEW = "helpdesk@sha256:aaaaaaaaaaaa", "helpdesk@sha256:bbbbbbbbbbbb"
TOLD = Deployment(pool="default", generation=2, revision=5, base=DeployedVersion(NEW, "b" * 64))
TIMEOUT_MS = 60_000


def beat(
    worker: str, base: str = OLD, *, state: WorkerState = WorkerState.READY, revision: int = 3, error: str = ""
) -> WorkerBeat:
    return WorkerBeat(
        worker=worker,
        name=f"name-of-{worker}",
        pool="default",
        state=state,
        capacity=1,
        models=(),
        engine="",
        base=base,
        revision=revision,
        deployment_error=error,
    )


def look(roll: Roll | None, *workers: WorkerBeat, now_ms: int = 0) -> Step:
    return advance(TOLD, 5, workers, roll, now_ms=now_ms, timeout_ms=TIMEOUT_MS)


def test_workers_are_asked_one_after_the_other() -> None:
    first = look(None, beat("w1"), beat("w2"))
    assert first.ask == "w1"
    assert first.roll is not None
    for workers in (
        (beat("w1"), beat("w2")),
        (beat("w1", state=WorkerState.DRAINING), beat("w2")),
        (beat("w2"),),
        (beat("w3", NEW, revision=0, state=WorkerState.DRAINING), beat("w2")),
    ):
        waiting = look(first.roll, *workers, now_ms=1_000)
        assert (waiting.ask, waiting.error) == ("", "")
        assert waiting.roll == first.roll
    second = look(first.roll, beat("w3", NEW, revision=5), beat("w2"), now_ms=2_000)
    assert second.ask == "w2"
    assert second.roll is not None
    done = look(second.roll, beat("w3", NEW, revision=5), beat("w4", NEW, revision=0))
    assert done == Step(None)


def test_the_last_beat_of_a_worker_that_is_gone_is_not_counted_as_a_worker() -> None:
    first = look(None, beat("w1"), beat("w2"))
    ghost = look(first.roll, beat("w1"), beat("w2"), beat("w3", NEW, revision=5), now_ms=100)
    assert ghost == Step(first.roll)
    second = look(first.roll, beat("w2"), beat("w3", NEW, revision=5), now_ms=200)
    assert second.roll is not None
    assert (second.ask, second.roll.ready) == ("w2", 2)


def test_nobody_is_asked_when_all_are_fresh_or_not_ours() -> None:
    assert look(None, beat("w1", NEW, revision=5), beat("w2", base="", revision=0)) == Step(None)
    assert look(None) == Step(None)


def test_a_worker_with_old_engine_arguments_is_stale_and_one_that_just_started_is_not() -> None:
    assert look(None, beat("w1", NEW, revision=4)).ask == "w1"
    assert look(None, beat("w1", NEW, revision=0)).ask == ""


def test_a_worker_that_goes_on_as_before_is_asked_again() -> None:
    first = look(None, beat("w1"))
    again = look(first.roll, beat("w1"), now_ms=REPEAT_MS)
    assert again.ask == "w1"
    assert look(again.roll, beat("w1"), now_ms=REPEAT_MS + 1).ask == ""


def test_a_worker_that_does_not_come_back_stops_the_roll_until_something_is_declared() -> None:
    first = look(None, beat("w1"), beat("w2"))
    stuck = look(first.roll, beat("w2"), now_ms=TIMEOUT_MS + 1)
    assert "name-of-w1" in stuck.error
    assert stuck.ask == ""
    assert declared_anew(stuck.roll, stuck.error, 0) is None
    back = look(stuck.roll, beat("w3", NEW, revision=5), beat("w2"), now_ms=TIMEOUT_MS + 2)
    assert (back.ask, back.error) == ("w2", "")


def test_the_reason_that_a_worker_gives_is_passed_on() -> None:
    first = look(None, beat("w1"))
    stuck = look(first.roll, beat("w1", error="the disk is full"), now_ms=TIMEOUT_MS + 1)
    assert stuck.error.endswith("the disk is full")


def test_a_declaration_in_the_middle_waits_for_the_worker_that_is_away() -> None:
    first = look(None, beat("w1"), beat("w2"))
    kept = declared_anew(first.roll, "", 500)
    assert look(kept, beat("w2"), now_ms=600).ask == ""
    assert look(kept, beat("w2"), beat("w3", revision=0), now_ms=700).ask == "w2"
