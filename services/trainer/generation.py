"""Answers many dialogues at once with a local model; every dialogue has its own random seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from services.trainer.corpus.items import Turn, messages

SERVED_TEMPERATURE: Final = 0.7
"""What a server uses where a client names none; models are graded at it, and at 0."""
SEED_STRIDE: Final = 1_000_003
"""Keeps the seeds of one pass apart from those of the next."""


@dataclass(frozen=True)
class Generated:
    """One answer, and whether the model ended it by itself."""

    text: str
    stopped: bool


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: temperature 0 takes the likeliest token."""

    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 64
    batch: int = 160


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, dialogues: Sequence[Sequence[Turn]], how: Sampling) -> list[Generated]:
    """One answer for every dialogue, in their order."""
    model.eval()
    prompts = [
        tokenizer.apply_chat_template(messages(d), add_generation_prompt=True, tokenize=False) for d in dialogues
    ]
    ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    answers: dict[int, Generated] = {}
    for start in range(0, len(ids), how.batch):
        numbers = by_length[start : start + how.batch]
        rows = _batch(model, tokenizer, [ids[i] for i in numbers], numbers, how)
        for number, row in zip(numbers, rows, strict=True):
            stopped = tokenizer.eos_token_id in row
            kept = row[: row.index(tokenizer.eos_token_id)] if stopped else row
            answers[number] = Generated(tokenizer.decode(kept, skip_special_tokens=True).strip(), stopped)
    return [answers[i] for i in range(len(ids))]


def _batch(model: Any, tokenizer: Any, prompts: list[list[int]], numbers: list[int], how: Sampling) -> list[list[int]]:
    """The tokens that follow each prompt, padded with the pad token behind the end of the answer."""
    width = max(len(p) for p in prompts)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    tokens = torch.tensor([[pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    noise = [torch.Generator().manual_seed(how.seed * SEED_STRIDE + n) for n in numbers]
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    cache, columns = None, []
    for _ in range(how.max_tokens):
        out = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        chosen = _choose(out.logits[:, -1].float(), noise, how.temperature).masked_fill(ended, pad)
        columns.append(chosen)
        ended |= chosen == end
        if bool(ended.all()):
            break
        tokens = chosen[:, None]
        mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        positions = positions[:, -1:] + 1
    rows: list[list[int]] = torch.stack(columns, dim=1).tolist()
    return rows


def _choose(logits: torch.Tensor, noise: list[torch.Generator], temperature: float) -> torch.Tensor:
    """The next token of each row; sampled by adding Gumbel noise from the row's own generator."""
    if temperature > 0:
        drawn = [torch.empty(logits.shape[1]).exponential_(generator=g) for g in noise]
        logits = logits / temperature - torch.stack(drawn).log()
    return logits.argmax(dim=-1)
