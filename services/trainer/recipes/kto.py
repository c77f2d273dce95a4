"""Kahneman-Tversky optimisation (arXiv:2402.01306) straight from thumbs, with an SFT term on what was judged well.

With `r(y) = log p(y) - log p_base(y)` summed over an answer's tokens, and `kl` the mean `r` of answers to other
prompts, the loss of a good answer is `1 - sigmoid(beta * (r - kl))`, of a bad one `1 - sigmoid(beta * (kl - r))`.
Alone it moves manners and loses facts; `sft_weight * mean -log p(good token)` beside it holds the facts. Half of
every batch is good, half is bad, whatever the share of thumbs; replayed answers are good ones.
"""

from typing import Any, Final

import torch
from datasets import Dataset  # type: ignore[import-untyped] # it ships no types
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from libs.contracts.training import Method
from libs.kit.errors import ServiceError
from services.trainer.recipes import sft
from services.trainer.recipes.parts.base import context_tokens, load_base, weights_of, with_adapter
from services.trainer.recipes.parts.batches import Stratum, order, shares, weighted
from services.trainer.recipes.parts.learning import arguments, learn, refuse_packing, schedule
from services.trainer.recipes.parts.resumable import Resumable
from services.trainer.recipes.parts.rows import Row, answers_in, good_answers_in
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.tokens import Encoded, encode_answers
from services.trainer.recipes.parts.trained import Trained

PASSES: Final = 5.0
BETA: Final = 0.1
SFT_WEIGHT: Final = 1.0
SLOWER: Final = 0.5
"""Than SFT: at its full rate the bad answers drag facts down with them."""


class Trainer(Resumable, KTOTrainer):
    """TRL's, with exact resume, rows that are tokens already, and an SFT term."""

    sft_weight = SFT_WEIGHT

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def compute_loss(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
        """KTO's loss and the SFT term, from one pass through the model."""
        heard = _Listening(model)
        loss = super().compute_loss(heard, inputs, *rest, **more)  # type: ignore[no-untyped-call] # TRL's
        good = inputs["label"].bool()
        learned = inputs["completion_mask"][good][:, 1:].sum()
        # [rows x tokens - 1]; zero wherever nothing is learned.
        imitation = -heard.log_probs[good].sum() / learned.clamp(min=1)
        return loss + self.sft_weight * imitation


class _Listening:
    """A model that keeps the log-probabilities of its pass with gradients."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.log_probs = torch.zeros(0)

    def __call__(self, **inputs: Any) -> Any:
        outputs = self._model(**inputs)
        if torch.is_grad_enabled():
            self.log_probs = outputs.log_probs
        return outputs


def train(task: Task, rows: list[Row], replay: list[Row]) -> Trained:
    """Teach the base, or an adapter of it, what was judged well and what was not."""
    recipe = task.recipe
    refuse_packing(recipe, Method.KTO)
    base, tokenizer = load_base(task.order.base, recipe)
    max_tokens = context_tokens(base, recipe)

    own = encode_answers(tokenizer, answers_in(rows), max_tokens, task.say)
    old = good_answers_in(replay)
    replayed = encode_answers(tokenizer, old, max_tokens, task.say) if old else []
    examples = own + replayed

    rate = SLOWER * sft.learning_rate(weights_of(base), full=recipe.full)
    plan = schedule(task, len(own), PASSES, rate)
    if plan.micro_rows < 2:
        raise ServiceError(
            "invalid_value", "kto compares rows: two at least must go through at once.", param="batch_rows"
        )
    own_rows, replay_rows = shares(recipe.batch_rows * task.world, recipe.replay_share, has_replay=bool(replayed))
    counts = weighted([one.demonstration for one in own], recipe.demonstration_weight)
    good, bad = ([number for number in counts if own[number].good is wanted] for wanted in (True, False))
    numbers = order(
        [
            Stratum(tuple(good), own_rows - own_rows // 2),
            Stratum(tuple(bad), own_rows // 2),
            Stratum(tuple(range(len(own), len(examples))), replay_rows),
        ],
        [one.length_tokens for one in examples],
        plan.steps,
        recipe.seed,
    )

    model = base if recipe.full else with_adapter(base, recipe)
    trainer = Trainer(
        model=model,
        args=arguments(KTOConfig, task, model, plan, max_length=None, loss_type="kto", beta=recipe.beta or BETA),
        train_dataset=Dataset.from_dict(columns([examples[number] for number in numbers], plan.micro_rows)),
        processing_class=tokenizer,
    )
    trainer.sft_weight = SFT_WEIGHT if recipe.sft_weight is None else recipe.sft_weight
    watch = learn(trainer, task, Method.KTO, len(own))
    return Trained(model, tokenizer, watch, Method.KTO, len(own))


def columns(rows: list[Encoded], together: int) -> dict[str, list[Any]]:
    """The rows as the trainer reads them; each has the answer of its neighbour among the `together`, for `kl`."""
    strange = [
        rows[start + (place - 1) % len(group)].answer
        for start in range(0, len(rows), together)
        for group in [rows[start : start + together]]
        for place in range(len(group))
    ]
    return {
        "prompt_ids": [row.prompt for row in rows],
        "completion_ids": [row.answer for row in rows],
        "KL_completion_ids": strange,
        "label": [row.good for row in rows],
    }
