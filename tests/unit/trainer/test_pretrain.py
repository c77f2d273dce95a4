"""The pretrain recipe, made tiny: the same bytes twice, and only answers are learned."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from services.trainer.corpus.items import Role, Turn
from services.trainer.generation import Sampling, generate
from services.trainer.progress import Progress
from services.trainer.recipes.pretrain import (
    IGNORED,
    Recipe,
    answer_loss,
    batches,
    build_model,
    encode,
    pace,
    run,
    train_tokenizer,
    write_corpus,
)

TINY = Recipe(steps=2, dialogues=120, batch=4, warmup_steps=1, vocabulary=300, hidden=32, layers=1, threads=1)


def test_the_same_recipe_writes_the_same_bytes_and_tells_how_far_it_is(tmp_path: Path) -> None:
    told = io.StringIO()
    first = run(TINY, tmp_path / "first", Progress(told))
    assert run(TINY, tmp_path / "again", Progress(io.StringIO())) == first
    assert all(f"{stage}/4" in told.getvalue() for stage in (1, 2, 3, 4))
    assert first[:12] in told.getvalue()


def test_another_seed_starts_from_other_weights() -> None:
    tokenizer = train_tokenizer(write_corpus(TINY), TINY)
    one, other = (build_model(recipe, tokenizer) for recipe in (TINY, replace(TINY, seed=TINY.seed + 1)))
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)


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


def test_the_loss_is_that_of_the_model_itself() -> None:
    tokenizer = train_tokenizer(write_corpus(TINY), TINY)
    model: Any = build_model(TINY, tokenizer)
    tokens, targets = next(batches(encode(write_corpus(TINY), tokenizer), TINY, tokenizer.pad_token_id))
    torch.testing.assert_close(answer_loss(model, tokens, targets), model(input_ids=tokens, labels=targets).loss)


def test_the_tokens_of_training_are_those_of_the_chat_template() -> None:
    corpus = write_corpus(TINY)
    tokenizer = train_tokenizer(corpus, TINY)
    for turns, example in zip(corpus[:20], encode(corpus[:20], tokenizer), strict=True):
        chat = [{"role": turn.role.value, "content": turn.text} for turn in turns]
        assert tokenizer.apply_chat_template(chat, return_dict=False) == example.tokens.tolist()


def test_the_learning_rate_warms_up_and_ends_low() -> None:
    recipe = Recipe(steps=1_000)
    shares = [pace(step, recipe) for step in range(recipe.steps)]
    assert shares[0] < 0.1
    assert 0.9 < shares[recipe.warmup_steps] <= 1
    assert shares[-1] < 0.02


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
