"""Exact resume for every TRL trainer: its own checkpoints, without pickle, in place of the library's."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from services.trainer.recipes.parts.checkpoints import (
    Checkpoints,
    load_state,
    load_weights,
    save_state,
    save_weights,
    write_text,
)
from services.trainer.work.order import Checkpointed

if TYPE_CHECKING:
    from services.trainer.recipes.parts.task import Task
    from services.trainer.recipes.parts.watch import Watch

SEEN: Final = "seen.json"
TRAINER_STATE: Final = "trainer_state.json"
"""Name under which `transformers.Trainer` looks for the number of the step."""


class Resumable:
    """To be mixed in before a trainer of TRL; replaces how it writes and reads checkpoints.

    Weights that are taught, optimiser, scheduler and trainer's counts are written by the first process, the random
    states by every one. Data parallel training only: each process holds all weights.
    """

    task: "Task"
    watch: "Watch"
    checkpoints: Checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:  # noqa: ARG002 - the library's signature
        """Called by `transformers.Trainer` when its control says so."""
        trainer: Any = self
        step = trainer.state.global_step
        folder = self.checkpoints.directory / str(step)
        if self.task.leads:
            self.checkpoints.begin(step)
            save_weights(folder, trainer.model)
            save_state(folder, "optimizer", trainer.optimizer.state_dict())
            save_state(folder, "scheduler", trainer.lr_scheduler.state_dict())
            # What was logged is in the job's log.
            trainer.state.log_history = []
            trainer.state.save_to_json(str(folder / TRAINER_STATE))
            write_text(folder / SEEN, json.dumps({"tokens": self.watch.tokens, "losses": self.watch.losses}))
        trainer.accelerator.wait_for_everyone()
        save_state(folder, f"random-{self.task.rank}", _random_state())
        trainer.accelerator.wait_for_everyone()
        if self.task.leads:
            self.checkpoints.finish(step)
            self.task.report(Checkpointed(step=step))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trainer: Any = self
        folder = Path(resume_from_checkpoint)
        load_weights(folder, trainer.model if model is None else model)
        seen = json.loads((folder / SEEN).read_text(encoding="utf-8"))
        self.watch.tokens, self.watch.losses = seen["tokens"], seen["losses"]
        trainer._total_train_tokens = seen["tokens"]  # noqa: SLF001 - TRL counts there and does not save it

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            trainer: Any = self
            trainer.optimizer.load_state_dict(load_state(Path(checkpoint), "optimizer"))
            trainer.lr_scheduler.load_state_dict(load_state(Path(checkpoint), "scheduler"))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            _set_random_state(load_state(Path(checkpoint), f"random-{self.task.rank}"))

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Nothing: float32 and bfloat16 need no scaling of the loss."""


def _random_state() -> dict[str, Any]:
    state = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - libraries draw from it
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002 - as above
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
