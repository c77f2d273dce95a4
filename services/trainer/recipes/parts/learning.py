"""How a TRL trainer is set up and run, the same for every recipe."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from datasets import Dataset  # type: ignore[import-untyped] # it ships no types
from transformers import PrinterCallback

from libs.contracts.training import Method, Recipe
from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.base import LARGE_WEIGHTS, precision_of, weights_of
from services.trainer.recipes.parts.checkpoints import KEEP, Checkpoints, digest_of
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.watch import Watch
from services.trainer.work.order import Started

WARMUP_SHARE: Final = 0.05


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    steps: int
    learning_rate: float
    micro_rows: int
    """Rows that go through the model at once."""


def schedule(task: Task, rows: int, passes: float, learning_rate: float) -> Schedule:
    """What the recipe says, and the method's own choice where it says nothing.

    Without `steps` the rows are seen `passes` times, but for at least 60 steps; and for no more than 400 unless once
    through all rows takes more.

    Raises:
        ServiceError: `invalid_value`.
    """
    recipe = task.recipe
    if recipe.batch_rows < 1 or recipe.accumulation < 1 or recipe.batch_rows % recipe.accumulation:
        raise ServiceError(
            "invalid_value",
            f"batch_rows = {recipe.batch_rows} cannot be cut into accumulation = {recipe.accumulation} equal parts.",
            param="accumulation",
        )
    once = rows / (recipe.batch_rows * task.world)
    steps = recipe.steps or max(60, min(round(passes * once), max(400, round(once))))
    return Schedule(steps, recipe.learning_rate or learning_rate, recipe.batch_rows // recipe.accumulation)


def refuse_packing(recipe: Recipe, method: Method) -> None:
    """Accept a recipe that does not ask for packing.

    Raises:
        ServiceError: `invalid_value`.
    """
    if recipe.packing:
        raise ServiceError("invalid_value", f"{method} compares whole rows and cannot pack them.", param="packing")


def check_disk(directory: Path, model: Any) -> None:
    """Accept a disk with room for the checkpoints and the result.

    Raises:
        ServiceError: `disk_full`.
    """
    taught = sum(one.numel() for one in model.parameters() if one.requires_grad)
    # A checkpoint is the weights and two moments of each in float32; one more than is kept lies there for a while.
    wanted_bytes = 4 * taught * (3 * (KEEP + 1) + 1)
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < wanted_bytes:
        raise ServiceError(
            "disk_full", f"{free_bytes >> 20} MiB are free for checkpoints that need {wanted_bytes >> 20} MiB."
        )


def arguments(config: Any, task: Task, model: Any, plan: Schedule, **more: Any) -> Any:
    """Settings of a TRL trainer; `config` is its class of them."""
    recipe = task.recipe
    return config(
        output_dir=str(task.directory),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.micro_rows,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(plan.steps * WARMUP_SHARE),
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch",
        bf16=precision_of(recipe) is torch.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=weights_of(model) > LARGE_WEIGHTS,
        seed=recipe.seed,
        save_strategy="steps",
        save_steps=recipe.checkpoint_steps,
        # Every step, for the guard against a loss that is no number; the filter would hide it.
        logging_steps=1,
        logging_nan_inf_filter=False,
        # Rows come in the order of `batches.order`, with one pass over them for the whole training.
        train_sampling_strategy="sequential",
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        ddp_backend=None if torch.cuda.is_available() or task.world == 1 else "gloo",
        disable_tqdm=True,
        report_to="none",
        **more,
    )


def dataset_of(columns: Mapping[str, Sequence[Any]], order: list[int]) -> Any:
    """The rows in the order in which they are learned; each is kept once."""
    return Dataset.from_dict(dict(columns)).select(order)


def inputs_digest(task: Task, method: Method) -> str:
    """Of all that decides the weights: recipe, base, data, how many processes."""
    order = task.order
    files = [Path(order.rows), *([Path(order.replay)] if order.replay else [])]
    if order.base:
        files += sorted(path for path in Path(order.base).iterdir() if path.suffix in (".safetensors", ".json"))
    document = [msgspec.to_builtins(order.recipe), method.value, order.shape, task.world, [digest_of(f) for f in files]]
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def learn(trainer: Any, task: Task, method: Method, rows: int) -> Watch:
    """Train to the end or to where it is stopped, from the newest checkpoint on."""
    watch = Watch(task)
    # It prints what the watch reports.
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watch)
    trainer.task, trainer.watch = task, watch
    trainer.checkpoints = Checkpoints(task.directory / "checkpoints", inputs_digest(task, method))
    newest = trainer.checkpoints.newest(task.say) if task.leads else None
    if task.world > 1:
        found = [newest]
        torch.distributed.broadcast_object_list(found)
        newest = found[0]
    check_disk(task.directory, trainer.model)
    resumed_step = int(newest.name) if newest else 0
    task.tell(Started(method=method, rows=rows, steps=trainer.args.max_steps, resumed_step=resumed_step))
    trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    return watch
