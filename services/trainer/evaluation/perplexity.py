"""Likelihood of the references under the weights themselves, outside the serving plane.

Prompt log-probabilities of a serving engine that holds adapters end it when other requests run beside them, so the
weights are read here; torch is imported in this module only.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jinja2 import TemplateError
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from libs.kit.errors import ServiceError
from services.trainer.evaluation.items import Item
from services.trainer.evaluation.scores import Scores, perplexity

_ADAPTER: Final = "adapter_config.json"
_BATCH_LOGITS: Final = 50_000_000
"""Numbers that a batch may give, which bounds memory to some 400 MB unless a single row is longer."""
_NOT_COUNTED: Final = -100
Row = tuple[int, list[int], int]
"""Place of the item, its tokens, and how many of them are prompt."""


class Weights:
    """A model in this process."""

    def __init__(self, base: str, weights: str = "") -> None:
        """Load.

        Args:
            base: directory of the base model.
            weights: directory of an adapter for it, or of another model; empty: the base itself.

        Raises:
            ServiceError: `incompatible_base`, they cannot be read or do not fit.
        """
        is_adapter = bool(weights) and (Path(weights) / _ADAPTER).exists()
        source = base if is_adapter or not weights else weights
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, local_files_only=True)
            if is_adapter:
                model = PeftModel.from_pretrained(model, weights)
        except (OSError, ValueError, RuntimeError, KeyError, AttributeError, SafetensorError) as error:
            raise ServiceError("incompatible_base", f"Weights cannot be read for perplexity: {error}.") from error
        self._model = model.eval()
        self._vocabulary = max(1, int(model.config.vocab_size))
        self.left_out = 0
        """Items whose dialogue the chat template refuses, or that are too long for the model."""

    def score(self, items: Sequence[Item]) -> Scores:
        """Negative log-likelihood and tokens of each item's first reference.

        Shapes: a batch is rows x tokens, right-padded; its logits are rows x tokens x vocabulary.
        """
        columns = np.zeros((len(items), 2))
        referenced = [(at, item) for at, item in enumerate(items) if item.references]
        rows = [row for at, item in referenced for row in self._row(at, item)]
        self.left_out += len(referenced) - len(rows)
        for batch in _batches(sorted(rows, key=lambda row: len(row[1])), _BATCH_LOGITS // self._vocabulary):
            for (at, _, _), (nll, tokens) in zip(batch, self._nll(batch), strict=True):
                columns[at] = nll, tokens
        return Scores(columns, columns[:, 1] > 0, perplexity, is_share=False)

    def _row(self, at: int, item: Item) -> Iterator[Row]:
        """The whole dialogue with its answer; what the template puts before the answer is prompt."""
        turns = list(item.messages)
        answered = [*turns, {"role": "assistant", "content": item.references[0]}]
        try:
            prompt = self._ids(turns, add_generation_prompt=True)
            whole = self._ids(answered, add_generation_prompt=False)
        except (TemplateError, ValueError, TypeError):
            # The template refuses such a dialogue; it is counted in `left_out`.
            return
        longest = getattr(self._model.config, "max_position_embeddings", None) or len(whole)
        if whole[: len(prompt)] == prompt and len(prompt) < len(whole) <= longest:
            yield at, whole, len(prompt)

    def _ids(self, turns: Sequence[dict[str, Any]], *, add_generation_prompt: bool) -> list[int]:
        text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=add_generation_prompt, tokenize=False)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    @torch.inference_mode()
    def _nll(self, batch: Sequence[Row]) -> list[tuple[float, int]]:
        width = max(len(ids) for _, ids, _ in batch)
        tokens = torch.tensor([ids + [0] * (width - len(ids)) for _, ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for _, ids, _ in batch])
        wanted = torch.full_like(tokens, _NOT_COUNTED)
        for row, (_, ids, prompt) in enumerate(batch):
            wanted[row, prompt : len(ids)] = tokens[row, prompt : len(ids)]
        logits = self._model(input_ids=tokens, attention_mask=mask).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), wanted[:, 1:], ignore_index=_NOT_COUNTED, reduction="none"
        )
        counts = (wanted[:, 1:] != _NOT_COUNTED).sum(dim=1)
        return list(zip(losses.sum(dim=1).tolist(), counts.tolist(), strict=True))


def _batches(rows: Sequence[Row], most_tokens: int) -> Iterator[list[Row]]:
    """Rows of similar length, as many as fit."""
    batch: list[Row] = []
    for row in rows:
        if batch and len(row[1]) * (len(batch) + 1) > most_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
