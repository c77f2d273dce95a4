"""The pretrain recipe, made tiny: the same bytes twice, and only answers are learned."""

import io
from pathlib import Path

import torch

from services.trainer.corpus.items import Role, Turn
from services.trainer.generation import Sampling, generate
from services.trainer.progress import Progress
from services.trainer.recipes.pretrain import (
    IGNORED,
    Recipe,
    build_model,
    encode,
    learning_rate,
    run,
    train_tokenizer,
    write_corpus,
)

TINY = Recipe(steps=3, dialogues=120, batch=4, warmup_steps=1, vocabulary=300, hidden=32, layers=1, threads=1)


def _digest(out: Path, recipe: Recipe = TINY) -> str:
    return run(recipe, out, Progress(io.StringIO()))


def test_the_same_recipe_writes_the_same_bytes(tmp_path: Path) -> None:
    first = _digest(tmp_path / "first")
    assert _digest(tmp_path / "again") == first
    other = Recipe(**{**vars(TINY), "seed": TINY.seed + 1})
    assert _digest(tmp_path / "other", other) != first


def test_progress_tells_every_stage_and_the_digest(tmp_path: Path) -> None:
    out = io.StringIO()
    digest = run(TINY, tmp_path, Progress(out))
    assert all(f"{stage}/4" in out.getvalue() for stage in (1, 2, 3, 4))
    assert digest[:12] in out.getvalue()


def test_only_the_assistants_words_are_learned() -> None:
    tokenizer = train_tokenizer(write_corpus(TINY), TINY)
    turns = (
        Turn(Role.USER, "How much?"),
        Turn(Role.ASSISTANT, "Again?"),
        Turn(Role.USER, "Yes"),
        Turn(Role.ASSISTANT, "Fine."),
    )
    (example,) = encode([turns], tokenizer)
    learned = [token for token in example.targets.tolist() if token != IGNORED]
    assert tokenizer.decode(learned) == "Again?<|im_end|>Fine.<|im_end|>"
    assert (
        tokenizer.decode(example.tokens.tolist())
        == "<|im_start|>user\nHow much?<|im_end|>\n<|im_start|>assistant\nAgain?<|im_end|>\n"
        "<|im_start|>user\nYes<|im_end|>\n<|im_start|>assistant\nFine.<|im_end|>\n"
    )


def test_the_tokens_of_training_are_those_of_the_chat_template() -> None:
    corpus = write_corpus(TINY)
    tokenizer = train_tokenizer(corpus, TINY)
    for turns, example in zip(corpus[:20], encode(corpus[:20], tokenizer), strict=True):
        chat = [{"role": turn.role.value, "content": turn.text} for turn in turns]
        assert tokenizer.apply_chat_template(chat, return_dict=False) == example.tokens.tolist()


def test_the_learning_rate_warms_up_and_ends_low() -> None:
    recipe = Recipe(steps=1_000)
    rates = [learning_rate(step, recipe) for step in range(recipe.steps)]
    assert rates[0] < rates[recipe.warmup_steps] <= recipe.learning_rate
    assert rates[-1] < recipe.learning_rate / 50


def test_an_answer_does_not_depend_on_the_company_it_is_sampled_in() -> None:
    tokenizer = train_tokenizer(write_corpus(TINY), TINY)
    model = build_model(TINY, tokenizer)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    asked = [[Turn(Role.USER, text)] for text in ("A", "What is it that you want from me today?", "Hello there")]
    how = Sampling(temperature=1.0, seed=3, max_tokens=12)
    together = generate(model, tokenizer, asked, how)
    assert generate(model, tokenizer, asked[:1], how) == together[:1]
    assert generate(model, tokenizer, asked, how) == together
    assert generate(model, tokenizer, asked, Sampling(temperature=1.0, seed=4, max_tokens=12)) != together
