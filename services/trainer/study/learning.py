"""Has the trainer's work process make an adapter, and loads it."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from libs.contracts.training import Recipe
from services.trainer.study.rows import Row
from services.trainer.work.order import Done, Failed, Progressed, Report, Train


class TrainingFailedError(Exception):
    """The work process said that there will be no result, or ended without a word."""


def write_rows(path: Path, found: Sequence[Row]) -> Path:
    """The rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in found))
    return path


def train(order: Train, say: Callable[[str], None]) -> dict[str, float]:
    """Carries the order out in a process of its own; the adapter is in `result/` of the order's directory.

    Raises:
        TrainingFailedError: there is none.
    """
    directory = Path(order.directory)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "errors.log").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.trainer.work"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        with process:
            if process.stdin is None or process.stdout is None:
                raise TrainingFailedError("the work process has no pipes")
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            ended = None
            for line in process.stdout:
                ended = _heard(msgspec.json.decode(line, type=Report), say) or ended
    if isinstance(ended, Done):
        return ended.metrics
    told = ended.message if ended else f"it ended with {process.returncode} and without a word"
    raise TrainingFailedError(f"{directory}: {told}")


def load_base(directory: Path) -> tuple[Any, Any]:
    """Model and tokenizer in float32."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    return model, AutoTokenizer.from_pretrained(directory, local_files_only=True)


def load_adapted(base: Path, adapter: Path) -> tuple[Any, Any]:
    """The base with the adapter merged into it."""
    model, tokenizer = load_base(base)
    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(), tokenizer


def order_of(recipe: Recipe, base: Path, data: tuple[Path, str, Path | None], directory: Path) -> Train:
    """The order to train on these rows: their file, their shape, and a file that is replayed."""
    rows, shape, replay = data
    return Train(
        recipe=recipe,
        base=str(base),
        rows=str(rows),
        shape=shape,
        replay=str(replay) if replay else "",
        directory=str(directory),
    )


def _heard(report: Report, say: Callable[[str], None]) -> Done | Failed | None:
    if isinstance(report, Done | Failed):
        return report
    if not isinstance(report, Progressed):
        say(str(report))
    return None
