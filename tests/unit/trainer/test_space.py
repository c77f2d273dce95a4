"""The directory of a trainer: one process at a time, and every claim begins with what the one before left whole."""

from pathlib import Path

import pytest

from libs.kit.errors import ServiceError
from services.trainer.running.space import MANIFEST, Space, checkpoint_steps


def _checkpoint(directory: Path, step: int, *, whole: bool = True) -> None:
    target = directory / "checkpoints" / str(step)
    target.mkdir(parents=True)
    (target / "weights").write_text(str(step))
    if whole:
        (target / MANIFEST).write_text("{}")


def test_a_claim_inherits_whole_checkpoints_and_removes_everything_else(tmp_path: Path) -> None:
    space = Space(tmp_path)
    space.open()
    first = space.begin("job_a", 1)
    _checkpoint(first, 4)
    _checkpoint(first, 8)
    _checkpoint(first, 12, whole=False)
    (first / "result").mkdir()
    other = space.begin("job_b", 1)
    assert not first.exists(), "only one job has files at a time"
    _checkpoint(other, 3)
    again = space.begin("job_b", 2)
    assert checkpoint_steps(again) == [3]
    assert not other.exists()
    _checkpoint(again, 6)
    _checkpoint(again, 9, whole=False)
    last = space.begin("job_b", 5)
    assert checkpoint_steps(last) == [3, 6]
    assert not (last / "checkpoints" / "9").exists()
    space.close()


def test_read_only_leftovers_do_not_stop_the_next_claim(tmp_path: Path) -> None:
    space = Space(tmp_path)
    space.open()
    first = space.begin("job_a", 1)
    (first / "x").mkdir()
    (first / "x" / "file").write_text("x")
    (first / "x").chmod(0o555)
    assert space.begin("job_b", 1).exists()
    assert not first.exists()
    space.close()


def test_two_trainers_do_not_share_a_directory(tmp_path: Path) -> None:
    one, two = Space(tmp_path), Space(tmp_path)
    one.open()
    with pytest.raises(ServiceError, match="TRAINER_DIRECTORY") as caught:
        two.open()
    assert caught.value.code == "conflict"
    one.close()
    two.close()
    two.open()
    two.close()
