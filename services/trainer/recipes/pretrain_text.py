"""Pretraining on plain text: continued where there is a base, else from scratch with a tokenizer of its own.

The loss is `-mean log p(token | everything before it)` over all tokens of a batch [rows x tokens].
"""

from typing import Any, Final

from trl.trainer.sft_config import SFTConfig

from libs.contracts.training import Method
from services.trainer.corpus.items import Role, Turn
from services.trainer.recipes import pretrain, sft
from services.trainer.recipes.parts.base import context_tokens, load_base, weights_of, with_adapter
from services.trainer.recipes.parts.batches import Stratum, order, shares
from services.trainer.recipes.parts.learning import arguments, dataset_of, learn, schedule
from services.trainer.recipes.parts.packing import Packing
from services.trainer.recipes.parts.rows import Row, Text, good_answers_in, require
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.tokens import encode_answers, encode_texts
from services.trainer.recipes.parts.trained import Trained

PASSES: Final = 3.0
PASSES_FROM_SCRATCH: Final = 20.0
RATE_FROM_SCRATCH: Final = 3e-3
"""Of AdamW for a few million weights."""
SIZES: Final = ((1 << 20, 128, 4, 1_024), (16 << 20, 256, 6, 4_096), (1 << 62, 512, 8, 16_384))
"""Up to so many characters of text: width, layers, entries of the tokenizer."""


def train(task: Task, rows: list[Row], replay: list[Row]) -> Trained:
    """Teach a base, or a model made for it, the texts of `rows`."""
    recipe = task.recipe
    texts = require([row for row in rows if isinstance(row, Text)], "texts")
    from_scratch = not task.order.base
    base, tokenizer = _from_nothing(task, texts) if from_scratch else load_base(task.order.base, recipe)
    max_tokens = context_tokens(base, recipe)

    own = [(tokens, tokens) for tokens in encode_texts(tokenizer, texts, max_tokens)]
    old = good_answers_in(replay)
    replayed = [(one.tokens, one.labels) for one in encode_answers(tokenizer, old, max_tokens, task.say)] if old else []
    examples = own + replayed

    rate = RATE_FROM_SCRATCH if from_scratch else sft.learning_rate(weights_of(base), full=recipe.full)
    plan = schedule(task, len(own), PASSES_FROM_SCRATCH if from_scratch else PASSES, rate)
    own_rows, replay_rows = shares(recipe.batch_rows * task.world, recipe.replay_share, has_replay=bool(replayed))
    numbers = order(
        [
            Stratum(tuple(range(len(own))), own_rows),
            Stratum(tuple(range(len(own), len(examples))), replay_rows),
        ],
        [len(tokens) for tokens, _ in examples],
        plan.steps,
        recipe.seed,
    )
    columns = {"input_ids": [tokens for tokens, _ in examples], "labels": [labels for _, labels in examples]}

    model = base if from_scratch or recipe.full else with_adapter(base, recipe)
    trainer = sft.Trainer(
        model=model,
        args=arguments(SFTConfig, task, model, plan, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=dataset_of(columns, numbers),
        data_collator=Packing(max_tokens) if recipe.packing else None,
        processing_class=tokenizer,
    )
    watch = learn(trainer, task, Method.PRETRAIN, len(texts))
    return Trained(model, tokenizer, watch, Method.PRETRAIN, len(texts))


def _from_nothing(task: Task, texts: list[Text]) -> tuple[Any, Any]:
    """A tokenizer made of the texts, and a Llama of fresh weights whose size fits how much text there is."""
    characters = sum(len(row.text) for row in texts)
    width, layers, entries = next(size for most, *size in SIZES if characters <= most)
    shape = pretrain.Recipe(
        hidden=width, layers=layers, vocabulary=entries, context=task.recipe.max_tokens, seed=task.recipe.seed
    )
    tokenizer = pretrain.train_tokenizer([(Turn(Role.USER, row.text),) for row in texts], shape)
    model = pretrain.build_model(shape, tokenizer)
    task.say(f"From scratch: {weights_of(model):,} weights for {characters:,} characters.")
    return model, tokenizer
