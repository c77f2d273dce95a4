"""The last step before a program runs: who it is, and what happens to it when its parent is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.home import CHECKOUT
from tests.integration.local.conftest import until

CHILD = (sys.executable, "-I", "-S", str(CHECKOUT / "deploy" / "local" / "child.py"))
NOBODY = 65_534
WHO = "import os; print(os.geteuid()); open('written', 'w').write('x'); print(os.stat('written').st_uid)"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give away")


def _run(*arguments: str, code: str = WHO, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = (*CHILD, "--signal", "15", *arguments, "--", sys.executable, "-I", "-S", "-c", code)
    return subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=30)


def _mine(data: Path) -> tuple[str, ...]:
    return ("--parent", str(os.getpid()), "--private-data", str(data))


@needs_root
def test_in_a_namespace_root_looks_like_nobody_and_no_permission_changes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in (data, *data.parents)]

    done = _run(*_mine(data), cwd=data)

    if "others may now pass" in done.stderr:
        pytest.skip("this kernel lets root enter no user namespace")
    assert done.stdout.split() == [str(NOBODY), str(NOBODY)], done.stderr
    assert (data / "written").stat().st_uid == 0
    assert before == [(path, path.stat().st_mode, path.stat().st_uid) for path in (data, *data.parents)]


@needs_root
def test_in_a_namespace_nothing_of_roots_power_is_left(tmp_path: Path) -> None:
    done = _run(*_mine(tmp_path), code="import os; os.chown('/etc/passwd', 1, 1)", cwd=tmp_path)

    assert "PermissionError" in done.stderr or "OSError" in done.stderr


@needs_root
def test_without_a_namespace_it_becomes_nobody_and_owns_its_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("18")
    # The interpreter of the tests may live where nobody reaches it, so the shell speaks.
    command = (*CHILD, "--signal", "15", *_mine(data), "--no-namespace", "--", "/bin/sh", "-c", "id -u; id -G; ls -n")
    done = subprocess.run(command, cwd=data, check=False, capture_output=True, text=True, timeout=30)

    assert done.stdout.split("\n")[0] == str(NOBODY), done.stderr
    assert "0" not in done.stdout.split("\n")[1].split()
    assert (data.stat().st_uid, (data / "PG_VERSION").stat().st_uid) == (NOBODY, NOBODY)
    assert data.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() == 0, reason="an ordinary user's case")
def test_an_ordinary_user_stays_who_they_are(tmp_path: Path) -> None:
    done = _run(*_mine(tmp_path), cwd=tmp_path)

    assert done.stdout.split()[0] == str(os.geteuid())


def test_without_its_parent_it_does_not_start(tmp_path: Path) -> None:
    done = _run("--parent", "1", cwd=tmp_path)

    assert done.returncode == 1
    assert "the supervisor is gone" in done.stderr
    assert not (tmp_path / "written").exists()


def test_it_is_sent_its_signal_when_its_parent_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = (
        "import signal, pathlib, sys\n"
        f"def note(*_): pathlib.Path({str(told)!r}).write_text('SIGINT'); sys.exit()\n"
        "signal.signal(signal.SIGINT, note); print('up', flush=True); signal.pause()"
    )
    parent = (
        "import os, subprocess, sys\n"
        f"subprocess.run((*{CHILD!r}, '--parent', str(os.getpid()), '--signal', '{int(signal.SIGINT)}', '--',"
        f" sys.executable, '-c', {program!r}), start_new_session=True)"
    )
    running = subprocess.Popen((sys.executable, "-c", parent), stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    (child,) = processes.descendants(running.pid)
    running.kill()
    running.wait()

    until(told.exists, "the signal")
    until(lambda: not processes.alive(child), "the end")
