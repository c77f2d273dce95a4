"""The process that trains: it is killed, asked to stop, left alone, and short of memory and disk."""

import random
import resource
import threading
from pathlib import Path

import pytest

from libs.contracts.training import Recipe
from services.trainer.recipes.parts.checkpoints import MANIFEST
from services.trainer.work.order import Checkpointed, Done, Failed, Progressed, Report, Started, Stopped, Train
from tests.integration.trainer.worker import Heard, Worker, worker
from tests.unit.trainer.tiny import Training, make_base, order_for, train

STEPS = 60
EVERY = 10
RECIPE = Recipe(steps=STEPS, learning_rate=1e-2, checkpoint_steps=EVERY, batch_rows=4)
KILLS = 20
LONG = RECIPE.steps * 1_000


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A training that nobody disturbed."""
    return train(order_for(tmp_path_factory.mktemp("whole"), base, "sft", RECIPE))


def test_killed_twice_it_ends_with_the_bytes_of_an_undisturbed_run(base: Path, tmp_path: Path, whole: Training) -> None:
    order = order_for(tmp_path, base, "sft", RECIPE)
    _killed_at_checkpoint(order, 10)
    second = _killed_at_checkpoint(order, 30)
    assert second.said(Started)[0].resumed_step == 10
    with worker(order, tmp_path / "log") as last:
        assert last.listen() == 0
    assert last.said(Started)[0].resumed_step == 30
    assert last.said(Done)[0].metrics["train_loss"] > 0
    assert _weights(order) == whole.weights
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


@pytest.mark.slow
def test_asked_to_stop_it_leaves_a_checkpoint_and_goes_on_from_it(base: Path, tmp_path: Path, whole: Training) -> None:
    order = order_for(tmp_path, base, "sft", RECIPE)
    with worker(order, tmp_path / "log") as stopped:
        assert stopped.listen(lambda it, report: it.stop() if isinstance(report, Started) else None) == 0
    (said,) = stopped.said(Stopped)
    assert 0 < said.step < STEPS
    with worker(order, tmp_path / "log") as last:
        assert last.listen() == 0
    assert last.said(Started)[0].resumed_step == said.step
    assert _weights(order) == whole.weights


@pytest.mark.slow
def test_killed_twenty_times_at_any_moment_it_wastes_no_more_than_one_interval(
    base: Path, tmp_path: Path, whole: Training
) -> None:
    order = order_for(tmp_path, base, "sft", RECIPE)
    chance = random.Random(5)
    reached = kept = kills = 0
    longest_s = 1.5
    while True:
        with worker(order, tmp_path / "log") as one:
            # About the time from its first step to its last; some kills find it writing a checkpoint.
            delay_s = chance.uniform(0.0, longest_s) if kills < KILLS else None
            code = one.listen(_kill_after(delay_s))
        begun = one.said(Started)[0].resumed_step
        assert begun >= kept
        assert begun > reached - EVERY - 1
        reached = max([begun, *(report.progress.step for report in one.said(Progressed))])
        kept = max([begun, *(report.step for report in one.said(Checkpointed))])
        if code == 0 and delay_s is None:
            break
        kills += code != 0
        # How long it takes is the machine's affair; one that ended before its kill says that this was too late.
        longest_s *= 1.0 if code else 0.8
        if kept == STEPS or code == 0:
            # Ended, or killed while it wrote the result: begin again, so that every kill hits a training.
            reached = kept = 0
            _forget(order)
    assert kills == KILLS
    assert _weights(order) == whole.weights


def test_nobody_waiting_before_it_began_it_ends_at_once(base: Path, tmp_path: Path) -> None:
    with worker(order_for(tmp_path, base, "sft", RECIPE), tmp_path / "log") as left:
        left.hang_up()
        assert left.listen() == 1
    assert left.reports == []


@pytest.mark.slow
def test_nobody_waiting_any_more_it_ends_at_once(base: Path, tmp_path: Path) -> None:
    order = order_for(tmp_path, base, "sft", Recipe(steps=LONG, checkpoint_steps=LONG))
    with worker(order, tmp_path / "log") as left:
        assert left.listen(lambda it, report: it.hang_up() if isinstance(report, Progressed) else None) == 1
    assert left.said(Done) + left.said(Stopped) + left.said(Failed) == []
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("line", [b"", b"nonsense", b'{"type": "train"}', b'{"type": "dance"}'])
def test_what_is_no_order_is_refused(tmp_path: Path, line: bytes) -> None:
    with worker(line, tmp_path / "log") as confused:
        assert confused.listen() == 1
    (failed,) = confused.said(Failed)
    assert failed.code == "invalid_value"


@pytest.mark.slow
def test_a_failure_is_reported_with_its_code(tmp_path: Path) -> None:
    order = order_for(tmp_path, tmp_path / "nowhere", "sft", RECIPE)
    with worker(order, tmp_path / "log") as failing:
        assert failing.listen() == 1
    assert failing.said(Failed)[0].code == "incompatible_base"


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_whole_checkpoint(base: Path, tmp_path: Path, whole: Training) -> None:
    order = order_for(tmp_path, base, "sft", RECIPE)

    def fill(it: Worker, report: Report) -> None:
        if isinstance(report, Checkpointed) and report.step == 10:
            # No file may grow further: the kernel says so where the disk would.
            it.limit(resource.RLIMIT_FSIZE, 1_024)

    with worker(order, tmp_path / "log") as full:
        assert full.listen(fill) == 1
    assert full.said(Failed)[0].code == "disk_full"
    assert (tmp_path / "checkpoints" / "10" / MANIFEST).exists()
    with worker(order, tmp_path / "log") as last:
        assert last.listen() == 0
    assert last.said(Started)[0].resumed_step == 10
    assert _weights(order) == whole.weights


@pytest.mark.slow
def test_without_memory_it_fails_with_a_code(base: Path, tmp_path: Path) -> None:
    order = order_for(tmp_path, base, "sft", Recipe(steps=LONG, checkpoint_steps=10, batch_rows=16))

    def starve(it: Worker, report: Report) -> None:
        if isinstance(report, Checkpointed) and report.step == 10:
            it.limit(resource.RLIMIT_AS, 64 << 20)

    with worker(order, tmp_path / "log") as starved:
        assert starved.listen(starve) == 1
    assert starved.said(Failed)[0].code == "out_of_memory"


def _killed_at_checkpoint(order: Train, step: int) -> Worker:
    def kill(it: Worker, report: Report) -> None:
        if isinstance(report, Checkpointed) and report.step >= step:
            it.kill()

    with worker(order, Path(order.directory) / "log") as one:
        assert one.listen(kill) == -9
    return one


def _kill_after(delay_s: float | None) -> Heard:
    """Kill it so long after it began; never if None."""

    def heard(it: Worker, report: Report) -> None:
        if isinstance(report, Started) and delay_s is not None:
            timer = threading.Timer(delay_s, it.kill)
            timer.daemon = True
            timer.start()

    return heard


def _forget(order: Train) -> None:
    for path in sorted(Path(order.directory).rglob("*"), reverse=True):
        if path.is_relative_to(Path(order.directory) / "data") or path.name == "log":
            continue
        path.rmdir() if path.is_dir() else path.unlink()


def _weights(order: Train) -> bytes:
    return (Path(order.directory) / "result" / "adapter_model.safetensors").read_bytes()
