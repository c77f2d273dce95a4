"""The launcher: a clear word without Python 3.11, help before anything is installed, installs only what has changed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.home import CHECKOUT

STAND_IN = """#!/bin/sh
case "$*" in
    *version_info*) exit 0 ;;
    *) echo "$*" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the launcher and the locks, with an environment whose Python repeats what it is asked to run."""
    root = tmp_path / "checkout"
    marks = root / ".venv" / "llmos"
    marks.mkdir(parents=True)
    shutil.copy(CHECKOUT / "llmos", root)
    shutil.copytree(CHECKOUT / "requirements", root / "requirements")
    for name in ("cpu", "dev"):
        shutil.copy(root / "requirements" / f"{name}.txt", marks)
    (marks / "runtime").write_text("cpu")
    for path in (root / ".venv" / "bin" / "python", tmp_path / "tools" / "python3.11"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(STAND_IN)
        path.chmod(0o755)
    return root


def _run(checkout: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": f"{checkout.parent / 'tools'}:/usr/bin:/bin", **more}
    return subprocess.run(
        (checkout / "llmos", *arguments), env=environment, check=False, capture_output=True, text=True
    )


def test_a_right_environment_is_used_at_once(checkout: Path) -> None:
    assert _run(checkout, "status", "--json").stdout.splitlines() == ["-P -m cli status --json"]


def test_a_changed_lock_is_installed_first(checkout: Path) -> None:
    with (checkout / "requirements" / "cpu.txt").open("a") as lock:
        lock.write("one-more==1.0\n")

    assert _run(checkout, "status").stdout.splitlines() == ["-P -m cli.bootstrap status", "-P -m cli status"]


def test_another_device_is_another_environment(checkout: Path) -> None:
    assert "cli.bootstrap" in _run(checkout, "status", LLMOS_DEVICE="gpu").stdout
    assert "cli.bootstrap" not in _run(checkout, "status", LLMOS_DEVICE="cpu").stdout


def test_tests_need_their_own_lock_and_serving_does_not(checkout: Path) -> None:
    (checkout / ".venv" / "llmos" / "dev.txt").unlink()

    assert "cli.bootstrap" in _run(checkout, "test").stdout
    assert "cli.bootstrap" not in _run(checkout, "up").stdout


def test_help_needs_no_environment(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")

    assert _run(checkout).stdout.splitlines() == ["-P -m cli.bootstrap help"]


def test_it_works_through_a_link_and_from_elsewhere(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "tools" / "llmos"
    link.symlink_to(checkout / "llmos")
    shown = subprocess.run(
        (link, "status"), cwd="/", env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True, text=True
    )

    assert shown.stdout.strip() == "-P -m cli status"


def test_without_the_right_python_it_says_which_one_it_needs(checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    tools = tmp_path / "bare"
    tools.mkdir()
    for name in ("sh", "readlink", "dirname", "cat", "cmp"):
        (tools / name).symlink_to(str(shutil.which(name, path=os.defpath)))
    refused = subprocess.run(
        (checkout / "llmos", "up"), env={"PATH": str(tools)}, check=False, capture_output=True, text=True
    )

    assert refused.returncode == 1
    assert "needs Python 3.11" in refused.stderr
    assert "LLMOS_PYTHON" in refused.stderr
