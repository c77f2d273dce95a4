"""Has a recipe make an adapter, and loads it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from libs.kit.errors import ServiceError
from services.trainer.recipes.launch import launch
from services.trainer.study.rows import Row
from services.trainer.work.order import Done, Report, Said, Train


class TrainingFailedError(Exception):
    """There is no adapter, and this is why."""


def write_rows(path: Path, found: Sequence[Row]) -> Path:
    """The rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in found))
    return path


def train(order: Train, say: Callable[[str], None]) -> dict[str, float]:
    """Carries the order out as the trainer's work process does, but in this one, which saves loading the libraries.

    Returns:
        The recipe's metrics; the adapter is in `result/` of the order's directory.

    Raises:
        TrainingFailedError: there is none.
    """
    Path(order.directory).mkdir(parents=True, exist_ok=True)
    ended: list[Done] = []

    def hear(report: Report) -> None:
        if isinstance(report, Done):
            ended.append(report)
        elif isinstance(report, Said):
            say(report.text)

    try:
        launch(order, hear, Event())
    except ServiceError as error:
        raise TrainingFailedError(f"{error.code}: {error.message}") from error
    if not ended:
        raise TrainingFailedError("The recipe ended without a result.")
    return ended[-1].metrics


def load_base(directory: Path) -> tuple[Any, Any]:
    """Model and tokenizer in float32."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    return model, AutoTokenizer.from_pretrained(directory, local_files_only=True)


def load_adapted(base: Path, adapter: Path) -> tuple[Any, Any]:
    """The base with the adapter merged into it."""
    model, tokenizer = load_base(base)
    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(), tokenizer
