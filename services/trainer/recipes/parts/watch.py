"""What looks on while a trainer trains: reports, the wish to stop, and a loss that is no number."""

import math
from typing import Any, Final

import torch
from transformers import TrainerCallback

from libs.contracts.training import JobProgress
from libs.kit.clock import monotonic_s
from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.task import Task
from services.trainer.work.order import Progressed

REPORT_EVERY_S: Final = 0.5
LAST_STEPS: Final = 20
"""The final loss is the mean over so many, for a single batch says little."""


class Watch(TrainerCallback):
    """Called by `transformers.Trainer` after every step."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.losses: list[float] = []
        self.tokens = 0
        """All tokens so far that went through the model."""
        self.checkpoint_step = 0
        self.stopped = False
        self._began_s = self._said_s = 0.0
        self._began_step = 0
        self._began_tokens: int | None = None

    @property
    def final_loss(self) -> float:
        """Mean of the last steps' losses."""
        last = self.losses[-LAST_STEPS:]
        return sum(last) / len(last) if last else math.nan

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - the library's
        """Start the clock."""
        self._began_s = monotonic_s()
        self._began_step = self.checkpoint_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:  # noqa: ARG002 - as above
        """Stop at a checkpoint if that is wished; all processes at the same step."""
        if not self.stopped and self._all_wish_to_stop() and state.global_step < state.max_steps:
            self.stopped = True
            control.should_save = control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ARG002 - as above
        """Tell how far it is.

        Raises:
            ServiceError: `training_diverged`, the loss or its gradient is no number any more.
        """
        logs = logs or {}
        if "loss" not in logs:
            return
        if not (math.isfinite(logs["loss"]) and math.isfinite(logs.get("grad_norm", 0.0))):
            raise ServiceError(
                "training_diverged",
                f"At step {state.global_step} the loss is {logs['loss']}, its gradient {logs.get('grad_norm')}."
                " Lower the learning rate. The last checkpoint is kept.",
                param="learning_rate",
            )
        # The library keeps all of them in memory.
        state.log_history.clear()
        self.losses = [*self.losses[1 - LAST_STEPS :], float(logs["loss"])]
        self.tokens = int(logs["num_tokens"])
        if self._began_tokens is None:
            # The first step is slow, and where it began from is known only after it.
            self._began_tokens, self._began_s, self._began_step = self.tokens, monotonic_s(), state.global_step
        if monotonic_s() - self._said_s >= REPORT_EVERY_S or state.global_step == state.max_steps:
            self._said_s = monotonic_s()
            self.task.tell(Progressed(progress=self._progress(state)))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - as above
        """Remember which checkpoint there is."""
        self.checkpoint_step = state.global_step

    def _progress(self, state: Any) -> JobProgress:
        spent_s = monotonic_s() - self._began_s
        steps = state.global_step - self._began_step
        left = state.max_steps - state.global_step
        return JobProgress(
            step=state.global_step,
            steps=state.max_steps,
            loss=self.losses[-1],
            tokens_per_s=(self.tokens - (self._began_tokens or 0)) / spent_s if steps else 0.0,
            eta_s=spent_s / steps * left if steps else None,
            note="training",
            checkpoint_step=self.checkpoint_step,
        )

    def _all_wish_to_stop(self) -> bool:
        wish = self.task.stop.is_set()
        if self.task.world == 1:
            return wish
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        wishes = torch.tensor(int(wish), device=device)
        torch.distributed.all_reduce(wishes, op=torch.distributed.ReduceOp.MAX)
        return bool(wishes.item())
