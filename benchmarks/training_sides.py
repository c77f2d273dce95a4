"""One side of `benchmarks.training`: SIDE METHOD ROWS DIRECTORY STEPS; its last line of output holds its figures."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from datasets import load_dataset  # type: ignore[import-untyped] # it ships no types
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from libs.contracts.training import Method, Recipe
from libs.testkit.platform import ROOT
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.run import run
from services.trainer.work.order import Train

STARTER: Final = ROOT / "deploy" / "starter" / "helpdesk"
SHAPES: Final = {"sft": "sft", "dpo": "preference", "kto": "kto"}
RATE: Final = 1e-3
TRAINERS: Final[dict[str, tuple[Any, Any, dict[str, Any]]]] = {
    "sft": (SFTTrainer, SFTConfig, {}),
    "dpo": (DPOTrainer, DPOConfig, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 1.0]}),
    "kto": (KTOTrainer, KTOConfig, {"train_sampling_strategy": "sequential"}),
}


def ours(method: str, rows: Path, directory: Path, steps: int) -> None:
    """As an order is carried out."""
    recipe = Recipe(method=Method(method), steps=steps, learning_rate=RATE, demonstration_weight=1)
    order = Train(recipe=recipe, base=str(STARTER), rows=str(rows), shape=SHAPES[method], directory=str(directory))
    run(Task(order=order, report=lambda _: None))


def plain(method: str, rows: Path, directory: Path, steps: int) -> None:
    """As TRL's documentation has it."""
    torch.set_num_threads(1)
    trainer_class, config_class, more = TRAINERS[method]
    config = config_class(
        output_dir=str(directory),
        max_steps=steps,
        per_device_train_batch_size=16,
        learning_rate=RATE,
        lr_scheduler_type="cosine",
        warmup_steps=steps // 20,
        optim="adamw_torch",
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        max_length=1_024,
        report_to="none",
        disable_tqdm=True,
        **more,
    )
    data = load_dataset("json", data_files=str(rows), split="train", cache_dir=str(directory / "cache"))
    if method == "sft":
        data = data.map(_as_completion, remove_columns=["messages"])
    trainer = trainer_class(
        model=AutoModelForCausalLM.from_pretrained(STARTER, dtype=torch.float32),
        args=config,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(STARTER),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model(str(directory / "result"))


def _as_completion(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}


def usage() -> tuple[float, float]:
    """CPU seconds and peak MiB of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Run the side that was asked for."""
    side, method, rows, directory, steps = sys.argv[1:]
    work: Callable[[str, Path, Path, int], None] = ours if side == "ours" else plain
    began_cpu_s, began_s = usage()[0], time.perf_counter()
    work(method, Path(rows), Path(directory), int(steps))
    cpu_s, peak_mib = usage()
    figures = {
        "wall_s": time.perf_counter() - began_s,
        "cpu_s": cpu_s - began_cpu_s,
        "whole_cpu_s": cpu_s,
        "peak_mib": peak_mib,
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
