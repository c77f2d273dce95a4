"""Supervised fine-tuning: up-rated answers and demonstrations are imitated, word by word.

The loss is `-mean log p(answer token | everything before it)` over all answer tokens of a batch [rows x tokens];
prompts are read and not learned. Good answers of an older data set may be replayed, so that they are not forgotten.
"""

from typing import Final

from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from libs.contracts.training import Method
from services.trainer.recipes.parts.base import context_tokens, load_base, weights_of, with_adapter
from services.trainer.recipes.parts.batches import Stratum, order, shares, weighted
from services.trainer.recipes.parts.learning import arguments, dataset_of, learn, schedule
from services.trainer.recipes.parts.packing import Packing
from services.trainer.recipes.parts.resumable import Resumable
from services.trainer.recipes.parts.rows import Row, good_answers_in, require
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.tokens import encode_answers
from services.trainer.recipes.parts.trained import Trained

PASSES: Final = 5.0


class Trainer(Resumable, SFTTrainer):
    """TRL's, with exact resume."""


def learning_rate(weights: int, *, full: bool) -> float:
    """Tiny models need and bear much more than the 2e-4 that is usual for LoRA on large ones."""
    adapter = 2e-3 if weights < 10_000_000 else 5e-4 if weights < 500_000_000 else 2e-4
    return adapter / 10 if full else adapter


def train(task: Task, rows: list[Row], replay: list[Row]) -> Trained:
    """Teach the base, or an adapter of it, the good answers among `rows`."""
    recipe = task.recipe
    base, tokenizer = load_base(task.order.base, recipe)
    max_tokens = context_tokens(base, recipe)

    own = require(good_answers_in(rows), "good answers (thumbs up or demonstrations)")
    encoded = encode_answers(tokenizer, own, max_tokens, task.say)
    replayed = encode_answers(tokenizer, good_answers_in(replay), max_tokens, task.say) if replay else []
    examples = encoded + replayed

    plan = schedule(task, len(own), PASSES, learning_rate(weights_of(base), full=recipe.full))
    own_rows, replay_rows = shares(recipe.batch_rows * task.world, recipe.replay_share, has_replay=bool(replayed))
    numbers = order(
        [
            Stratum(weighted([one.demonstration for one in encoded], recipe.demonstration_weight), own_rows),
            Stratum(tuple(range(len(encoded), len(examples))), replay_rows),
        ],
        [one.length_tokens for one in examples],
        plan.steps,
        recipe.seed,
    )
    columns = {"input_ids": [one.tokens for one in examples], "labels": [one.labels for one in examples]}

    model = base if recipe.full else with_adapter(base, recipe)
    trainer = Trainer(
        model=model,
        args=arguments(SFTConfig, task, model, plan, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=dataset_of(columns, numbers),
        data_collator=Packing(max_tokens) if recipe.packing else None,
        processing_class=tokenizer,
    )
    watch = learn(trainer, task, Method.SFT, len(own))
    return Trained(model, tokenizer, watch, Method.SFT, len(own))
