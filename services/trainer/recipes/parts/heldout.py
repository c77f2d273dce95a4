"""The loss on rows that training never saw: the split `test` that lies beside the one that was learned."""

import math
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn.utils.rnn import pad_sequence

from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.base import context_tokens
from services.trainer.recipes.parts.rows import Row, Text, good_answers_in, read_rows
from services.trainer.recipes.parts.task import Task
from services.trainer.recipes.parts.tokens import IGNORED, encode_answers, encode_texts
from services.trainer.recipes.parts.trained import Trained

SPLIT: Final = "test.jsonl"
MOST_ROWS: Final = 512
BATCH_ROWS: Final = 16


def heldout_metrics(task: Task, trained: Trained) -> dict[str, float]:
    """Loss and perplexity per token of held-out good answers or texts, of an adapter's base, too; empty without any."""
    path = Path(task.order.rows).with_name(SPLIT)
    if not path.exists() or path == Path(task.order.rows):
        return {}
    try:
        rows = read_rows(path, task.order.shape)[:MOST_ROWS]
        examples = _examples(task, trained, rows)
    except ServiceError as error:
        task.say(f"No held-out loss: {error.message}")
        return {}
    loss = _mean_loss(trained.model, examples)
    metrics = {
        "heldout_loss": loss,
        "heldout_perplexity": math.exp(min(loss, 80.0)),
        "heldout_rows": float(len(examples)),
    }
    if hasattr(trained.model, "disable_adapter"):
        with trained.model.disable_adapter():
            metrics["heldout_loss_base"] = _mean_loss(trained.model, examples)
    return metrics


def _examples(task: Task, trained: Trained, rows: list[Row]) -> list[tuple[list[int], list[int]]]:
    most = context_tokens(trained.model, task.recipe)
    if all(isinstance(row, Text) for row in rows):
        texts = [row for row in rows if isinstance(row, Text)]
        return [(tokens, tokens) for tokens in encode_texts(trained.tokenizer, texts, most)]
    encoded = encode_answers(trained.tokenizer, good_answers_in(rows), most, task.say)
    return [(one.tokens, one.labels) for one in encoded]


@torch.inference_mode()
def _mean_loss(model: Any, examples: list[tuple[list[int], list[int]]]) -> float:
    model.eval()
    total, count = 0.0, 0
    by_length = sorted(examples, key=lambda example: len(example[0]))
    for start in range(0, len(by_length), BATCH_ROWS):
        rows = by_length[start : start + BATCH_ROWS]
        # Padding on the right is behind everything that is learned, so that its value does not matter.
        ids = pad_sequence([torch.tensor(tokens) for tokens, _ in rows], batch_first=True).to(model.device)
        labels = pad_sequence([torch.tensor(one) for _, one in rows], batch_first=True, padding_value=IGNORED)
        # The head that TRL put on the model, which never holds the logits of all tokens at once.
        outputs = model(input_ids=ids, labels=labels.to(model.device), use_cache=False, fused_lm_head=True)
        total -= outputs.log_probs.sum().item()
        count += int((labels[:, 1:] != IGNORED).sum())
    return total / max(count, 1)
