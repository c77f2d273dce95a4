"""What `./llmos doctor` says of the environment."""

from pathlib import Path

import pytest

from cli.commands import doctor
from deploy.local.client import Stack
from deploy.local.home import Home
from libs.kit import interpreter


@pytest.mark.parametrize("optimised", [True, False])
def test_a_slow_python_is_told_with_a_remedy_and_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, optimised: bool
) -> None:
    monkeypatch.setattr(interpreter, "is_optimised", lambda: optimised)
    told = next(iter(doctor._environment(Stack(Home(tmp_path)))))
    assert told.well
    assert told.what == f"Python {interpreter.described()}"
    assert ("LLMOS_PYTHON" in told.remedy) is not optimised
