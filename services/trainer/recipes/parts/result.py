"""The result on disk: an adapter as PEFT saves it, or a model in Hugging Face layout, with its card."""

import json
import resource
import shutil
from pathlib import Path
from typing import Any

from services.trainer.recipes.parts.base import dtype_on_disk
from services.trainer.recipes.parts.cards import card
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.trained import Trained


def write_result(task: Task, trained: Trained, metrics: dict[str, float]) -> None:
    """Write `result/` whole: a folder of another name is filled and then renamed."""
    target, draft = task.directory / "result", task.directory / ".result"
    for folder in (target, draft):
        shutil.rmtree(folder, ignore_errors=True)
    draft.mkdir(parents=True)
    if hasattr(trained.model, "peft_config"):
        _write_adapter(draft, trained.model, _base_name(task))
    else:
        _write_model(draft, trained, task.order.base)
    (draft / "README.md").write_text(card(task, trained.method, trained.rows, metrics), encoding="utf-8")
    for path in draft.iterdir():
        path.chmod(0o644)
    draft.rename(target)


def peak_rss_bytes() -> int:
    """The most memory that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _base_name(task: Task) -> str:
    return task.order.base_name or Path(task.order.base).name


def _write_adapter(folder: Path, model: Any, base_name: str) -> None:
    model.save_pretrained(folder, safe_serialization=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    # PEFT writes where the base lay on this machine.
    config["base_model_name_or_path"] = base_name
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_model(folder: Path, trained: Trained, base: str) -> None:
    model = trained.model
    if base:
        model = model.to(dtype_on_disk(Path(base)))
    model.config._name_or_path = ""  # noqa: SLF001 - where the base lay on this machine
    model.save_pretrained(folder, safe_serialization=True)
    trained.tokenizer.save_pretrained(folder)
