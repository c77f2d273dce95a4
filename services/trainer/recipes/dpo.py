"""Direct preference optimisation (arXiv:2305.18290) with an SFT term, without which it can destroy a small model.

With `r(y) = log p(y) - log p_base(y)` summed over an answer's tokens the loss of a pair is
`-log sigmoid(beta * (r(chosen) - r(rejected))) + sft_weight * mean -log p(chosen token)`.
"""

from typing import Any, Final

from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from libs.contracts.training import Method
from services.trainer.recipes import sft
from services.trainer.recipes.parts.base import context_tokens, load_base, weights_of, with_adapter
from services.trainer.recipes.parts.batches import Stratum, order, shares, weighted
from services.trainer.recipes.parts.learning import arguments, dataset_of, learn, refuse_packing, schedule
from services.trainer.recipes.parts.resumable import Resumable
from services.trainer.recipes.parts.rows import Pair, Row, good_answers_in, require
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.tokens import encode_pairs
from services.trainer.recipes.parts.trained import Trained

PASSES: Final = 5.0
BETA: Final = 0.1
SFT_WEIGHT: Final = 1.0
SLOWER: Final = 0.5
"""Than SFT: at its full rate the rejected answers drag facts down with them."""


class Trainer(Resumable, DPOTrainer):
    """TRL's, with exact resume and rows that are tokens already."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


def train(task: Task, rows: list[Row], replay: list[Row]) -> Trained:
    """Teach the base, or an adapter of it, to prefer the chosen of each pair in `rows`."""
    recipe = task.recipe
    refuse_packing(recipe, Method.DPO)
    base, tokenizer = load_base(task.order.base, recipe)
    max_tokens = context_tokens(base, recipe)

    pairs = require([row for row in rows if isinstance(row, Pair)], "pairs")
    own = encode_pairs(tokenizer, pairs, max_tokens, task.say)
    # A replayed answer is paired with itself: its preference has no gradient, its SFT term has one.
    old = [Pair(one.prompt, one.answer, one.answer) for one in good_answers_in(replay)]
    replayed = encode_pairs(tokenizer, old, max_tokens, task.say) if old else []
    examples = own + replayed

    rate = SLOWER * sft.learning_rate(weights_of(base), full=recipe.full)
    plan = schedule(task, len(own), PASSES, rate)
    own_rows, replay_rows = shares(recipe.batch_rows * task.world, recipe.replay_share, has_replay=bool(replayed))
    numbers = order(
        [
            Stratum(weighted([one.demonstration for one in own], recipe.demonstration_weight), own_rows),
            Stratum(tuple(range(len(own), len(examples))), replay_rows),
        ],
        [one.length_tokens for one in examples],
        plan.steps,
        recipe.seed,
    )
    columns = {
        "prompt_ids": [one.prompt for one in examples],
        "chosen_ids": [one.chosen for one in examples],
        "rejected_ids": [one.rejected for one in examples],
    }

    model = base if recipe.full else with_adapter(base, recipe)
    losses = {
        "loss_type": ["sigmoid", "sft"],
        "loss_weights": [1.0, SFT_WEIGHT if recipe.sft_weight is None else recipe.sft_weight],
        "beta": recipe.beta or BETA,
    }
    trainer = Trainer(
        model=model,
        args=arguments(DPOConfig, task, model, plan, max_length=None, **losses),
        train_dataset=dataset_of(columns, numbers),
        processing_class=tokenizer,
    )
    watch = learn(trainer, task, Method.DPO, len(own))
    return Trained(model, tokenizer, watch, Method.DPO, len(own))
