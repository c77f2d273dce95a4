"""The command that judges recorded answers."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from libs.contracts.evaluation import EvaluationPlan, Gate, Rule, Task
from libs.testkit.platform import ROOT


def _run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.trainer.evaluation.offline", str(directory / "plan.json"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_recorded_answers_are_judged_at_a_prompt(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}"}], "reference": str(n), "id": str(n)} for n in range(40)
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, said in (("new", "{}"), ("old", "no")):
        answers = [{"task": "t", "item": str(n), "text": said.format(n)} for n in range(40)]
        (tmp_path / name).write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    gate = Gate(rules=(Rule(metric="t/exact_match", kind="better"),))
    plan = EvaluationPlan(tasks=(Task(name="t", file="items.jsonl"),), temperatures=(0.0,), gate=gate)
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(plan))
    sides = ["--candidate", str(tmp_path / "new"), "--baseline", str(tmp_path / "old"), "--out", str(tmp_path / "out")]
    done = _run(tmp_path, *sides)
    assert (done.returncode, done.stdout) == (0, "passed: better. All 1 findings hold.\n"), done.stderr
    assert (tmp_path / "out" / "report.html").exists()
    (tmp_path / "old").write_text("nonsense\n")
    failed = _run(tmp_path, *sides)
    assert failed.returncode == 1
    assert "old, line 1 is no recorded answer" in failed.stderr
    assert "Traceback" not in failed.stderr
