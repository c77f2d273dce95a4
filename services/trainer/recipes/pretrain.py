"""Makes the starter help-desk model from nothing: corpus, tokenizer, a tiny Llama, weights with digests.

`python -m services.trainer.recipes.pretrain --out DIR [--steps N --seed S]`, a few minutes on two cores.
The same seed, thread count and library versions give the same bytes.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from libs.kit.clock import seeded_random
from services.trainer.card import write_card, write_manifest
from services.trainer.corpus.dialogue import dialogue
from services.trainer.corpus.items import Role, Turn
from services.trainer.generation import SERVED_TEMPERATURE, Sampling, generate
from services.trainer.progress import Progress

END_OF_TEXT: Final = "<|endoftext|>"
START_OF_TURN: Final = "<|im_start|>"
END_OF_TURN: Final = "<|im_end|>"
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WEIGHTS: Final = "model.safetensors"
IGNORED: Final = -100
HEAD_DIM: Final = 32
BUCKET_BATCHES: Final = 90
ASK_EVERY: Final = 0.2
SAMPLE_QUESTION: Final = "How much is the Finch teapot?"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights."""

    steps: int = 2_000
    seed: int = 7
    dialogues: int = 40_000
    batch: int = 32
    matrix_learning_rate: float = 1e-2
    other_learning_rate: float = 5e-3
    warmup_steps: int = 40
    vocabulary: int = 1_024
    hidden: int = 128
    layers: int = 4
    context: int = 1_024
    threads: int = 1


@dataclass(frozen=True)
class Example:
    """One dialogue in tokens; the target is the same token where the assistant speaks, else ignored."""

    tokens: torch.Tensor
    targets: torch.Tensor


def write_corpus(recipe: Recipe) -> list[tuple[Turn, ...]]:
    """The training dialogues."""
    rng = seeded_random(recipe.seed)
    return [dialogue(rng) for _ in range(recipe.dialogues)]


def train_tokenizer(corpus: list[tuple[Turn, ...]], recipe: Recipe) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that never joins two digits, so that any number can be spelt."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=[END_OF_TEXT, START_OF_TURN, END_OF_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator((turn.text for turns in corpus for turn in turns), trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        model_max_length=recipe.context,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def encode(corpus: list[tuple[Turn, ...]], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Every dialogue as the chat template writes it; only what the assistant says is learned."""
    pieces = [
        (part, learned)
        for turns in corpus
        for turn in turns
        for part, learned in (
            (f"{START_OF_TURN}{turn.role}\n", False),
            (f"{turn.text}{END_OF_TURN}", turn.role is Role.ASSISTANT),
            ("\n", False),
        )
    ]
    ids = iter(tokenizer([text for text, _ in pieces], add_special_tokens=False)["input_ids"])
    learned = iter(flag for _, flag in pieces)
    examples = []
    for turns in corpus:
        tokens: list[int] = []
        targets: list[int] = []
        for _ in range(3 * len(turns)):
            part = next(ids)
            tokens += part
            targets += part if next(learned) else [IGNORED] * len(part)
        examples.append(Example(torch.tensor(tokens), torch.tensor(targets)))
    return examples


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A tiny Llama with fresh weights."""
    torch.manual_seed(recipe.seed)
    heads = recipe.hidden // HEAD_DIM
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=int(recipe.hidden * 8 / 3) // 32 * 32,
        num_hidden_layers=recipe.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        head_dim=HEAD_DIM,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def batches(examples: list[Example], recipe: Recipe, pad: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches without end; dialogues of about the same length share one, so that little is padding."""
    rng = seeded_random(recipe.seed + 1)
    count = min(len(examples), recipe.batch * BUCKET_BATCHES)
    while True:
        numbers = sorted(rng.sample(range(len(examples)), count), key=lambda i: len(examples[i].tokens))
        groups = [numbers[i : i + recipe.batch] for i in range(0, count, recipe.batch)]
        rng.shuffle(groups)
        for group in groups:
            chosen = [examples[i] for i in group]
            tokens = torch.nn.utils.rnn.pad_sequence([e.tokens for e in chosen], batch_first=True, padding_value=pad)
            targets = torch.nn.utils.rnn.pad_sequence(
                [e.targets for e in chosen], batch_first=True, padding_value=IGNORED
            )
            yield tokens, targets


def pace(step: int, recipe: Recipe) -> float:
    """The share of the full learning rate at this step: warm-up, then a cosine down to one hundredth."""
    decay = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return min(1.0, (step + 1) / recipe.warmup_steps) * max(0.01, decay)


def optimizers(model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, where it needs half the steps of AdamW; AdamW for the rest."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(inner, lr=recipe.matrix_learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return [
        muon,
        torch.optim.AdamW(rest, lr=recipe.other_learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def answer_loss(model: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean loss over the words of the answers; no other position is projected, which saves a fifth of the time."""
    states = model.model(input_ids=tokens).last_hidden_state[:, :-1]
    learned = targets[:, 1:] != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(states[learned]), targets[:, 1:][learned])


def train(model: Any, examples: list[Example], recipe: Recipe, tokenizer: Any, progress: Progress) -> None:
    """Teaches the model the corpus, showing loss, speed and now and then an answer."""
    both = optimizers(model, recipe)
    paces = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: pace(step, recipe)) for one in both]
    supply = batches(examples, recipe, tokenizer.pad_token_id)
    began_s, seen_tokens = progress.elapsed_s, 0
    ask_at = {round(recipe.steps * ASK_EVERY * k) for k in range(1, round(1 / ASK_EVERY) + 1)}
    model.train()
    for step in range(recipe.steps):
        tokens, targets = next(supply)
        loss = answer_loss(model, tokens, targets)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(both, paces, strict=True):
            optimizer.step()
            schedule.step()
        seen_tokens += tokens.numel()
        spent_s = max(progress.elapsed_s - began_s, 1e-9)
        left_s = spent_s / (step + 1) * (recipe.steps - step - 1)
        state = f"step {step + 1}/{recipe.steps}  loss {loss.item():.3f}"
        progress.bar(step + 1, recipe.steps, f"{state}  {seen_tokens / spent_s:,.0f} tokens/s  {left_s:.0f} s left")
        if step + 1 in ask_at:
            said = generate(model, tokenizer, [[Turn(Role.USER, SAMPLE_QUESTION)]], Sampling(max_tokens=40))
            progress.note(f"  “{SAMPLE_QUESTION}” → “{said[0].text}”")
            model.train()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, out: Path) -> str:
    """Writes weights, tokenizer, card and manifest; returns the digest of the whole."""
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=SERVED_TEMPERATURE,
    )
    model.bfloat16().save_pretrained(out)
    (out / WEIGHTS).chmod(0o644)
    tokenizer.save_pretrained(out)
    write_card(out, recipe, sum(p.numel() for p in model.parameters()))
    return write_manifest(out)


def run(recipe: Recipe, out: Path, progress: Progress) -> str:
    """The whole recipe; returns the digest of what it wrote."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(mode=True)
    out.mkdir(parents=True, exist_ok=True)
    progress.note(f"1/4 corpus      writing {recipe.dialogues:,} dialogues")
    corpus = write_corpus(recipe)
    progress.note(f"2/4 tokenizer   {recipe.vocabulary:,} entries, digits one by one")
    tokenizer = train_tokenizer(corpus, recipe)
    examples = encode(corpus, tokenizer)
    model = build_model(recipe, tokenizer)
    count = sum(p.numel() for p in model.parameters())
    mean_tokens = sum(len(e.tokens) for e in examples) / len(examples)
    progress.note(f"3/4 training    {count:,} parameters, {recipe.steps} steps, {mean_tokens:.0f} tokens a dialogue")
    train(model, examples, recipe, tokenizer, progress)
    digest = save(model, tokenizer, recipe, out)
    progress.note(f"4/4 saved       {out}  sha256:{digest[:12]}  after {progress.elapsed_s:.0f} s")
    return digest


def main() -> None:
    """Reads the command line and runs the recipe."""
    parser = argparse.ArgumentParser(description="Make the starter help-desk model from nothing.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=Recipe.threads)
    given = parser.parse_args()
    if given.out.exists() and any(given.out.iterdir()):
        parser.error(f"{given.out} is not empty")
    run(Recipe(steps=given.steps, seed=given.seed, threads=given.threads), given.out, Progress())


if __name__ == "__main__":
    main()
