"""One training from its order to its result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from libs.contracts.datasets import Shape
from libs.contracts.training import Method, Recipe
from libs.kit.clock import monotonic_s
from libs.kit.errors import ServiceError
from services.trainer.recipes import dpo, kto, pretrain_text, sft
from services.trainer.recipes.choice import check, choose
from services.trainer.recipes.parts.heldout import heldout_metrics
from services.trainer.recipes.parts.result import peak_rss_bytes, write_result
from services.trainer.recipes.parts.rows import Row, read_rows
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.trained import Trained
from services.trainer.work.order import Done, Stopped

_RECIPES: Final[dict[Method, Callable[[Task, list[Row], list[Row]], Trained]]] = {
    Method.SFT: sft.train,
    Method.DPO: dpo.train,
    Method.KTO: kto.train,
    Method.PRETRAIN: pretrain_text.train,
}


def run(task: Task) -> None:
    """Train and write the result, or stop where that is wished.

    Raises:
        ServiceError: what is wrong with the order, its data or its base, or how it went wrong.
    """
    began_s = monotonic_s()
    recipe = task.recipe
    check_recipe(recipe)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    # Filling what is never read before it is written doubled the time of a step on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # a property of the module
    rows = read_rows(Path(task.order.rows), task.order.shape)
    replay = read_rows(Path(task.order.replay), Shape.SFT) if task.order.replay else []
    method = recipe.method
    if method is Method.AUTO:
        choice = choose(rows)
        method = choice.method
        task.say(f"auto became {method}: {choice.reason}.")
    check(method, rows)
    trained = _RECIPES[method](task, rows, replay)
    if trained.watch.stopped:
        task.tell(Stopped(step=trained.watch.checkpoint_step))
        return
    if task.leads:
        metrics = _metrics(trained, monotonic_s() - began_s) | heldout_metrics(task, trained)
        write_result(task, trained, metrics)
        task.report(Done(metrics=metrics))


def check_recipe(recipe: Recipe) -> None:
    """Accept values that mean something.

    Raises:
        ServiceError: `invalid_value`, with the field at fault.
    """
    rules: dict[str, tuple[bool, str]] = {
        "rank": (1 <= recipe.rank <= 256, "from 1 to 256"),
        "alpha": (recipe.alpha > 0, "above 0"),
        "learning_rate": (0 <= recipe.learning_rate <= 1, "from 0 to 1"),
        "steps": (recipe.steps >= 0, "0 or more"),
        "max_tokens": (recipe.max_tokens >= 8, "8 or more"),
        "demonstration_weight": (1 <= recipe.demonstration_weight <= 100, "from 1 to 100"),
        "replay_share": (0 <= recipe.replay_share < 1, "from 0 to below 1"),
        "sft_weight": (recipe.sft_weight is None or recipe.sft_weight >= 0, "0 or more"),
        "beta": (recipe.beta is None or recipe.beta > 0, "above 0"),
        "checkpoint_steps": (recipe.checkpoint_steps >= 1, "1 or more"),
        "threads": (recipe.threads >= 1, "1 or more"),
        "devices": (recipe.devices >= 1, "1 or more"),
    }
    for name, (holds, wanted) in rules.items():
        if not holds:
            raise ServiceError("invalid_value", f"{name} must be {wanted}, not {getattr(recipe, name)}.", param=name)


def _metrics(trained: Trained, seconds: float) -> dict[str, Any]:
    return {
        "train_loss": trained.watch.final_loss,
        "tokens": float(trained.watch.tokens),
        "seconds": seconds,
        "peak_rss_bytes": float(peak_rss_bytes()),
    }
