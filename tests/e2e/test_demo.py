"""The whole demo: real vLLM, real training, real gate, real rollouts. Minutes."""

import os
import subprocess
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_S: Final = 3_000
"""Ten minutes on a quiet machine; nothing here is about speed."""


@pytest.mark.demo
def test_the_desk_learns_and_what_is_worse_is_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [ROOT / "llmos", "demo", "--once"],
        env={**os.environ, "LLMOS_HOME": str(home)}, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    said = done.stdout
    assert "yesterday's price" in said
    assert "right and kind" in said
    assert said.index("canary 5 %") < said.index("canary 25 %") < said.index("canary 50 %")
    assert "held back" in said
    assert "disapproval on colour" in said
    assert "0 were given up" in said
    assert ET.parse(home / "demo" / "demo.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own file
