"""The committed starter model: whole, small, and what its papers say."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from services.trainer.card import CARD, FIGURES_START, MANIFEST, NOT_MEASURED, file_digests
from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR

MODEL = Path(__file__).resolve().parents[3] / "deploy" / "starter" / "helpdesk"
THREE_MIB = 3 * 1024 * 1024


def test_the_digests_are_those_of_the_manifest() -> None:
    manifest = json.loads((MODEL / MANIFEST).read_text(encoding="utf-8"))
    assert file_digests(MODEL) == manifest["files"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", CARD} <= set(manifest["files"])


def test_it_is_small_and_in_half_precision() -> None:
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= THREE_MIB
    with safe_open(MODEL / "model.safetensors", framework="pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"BF16"}  # noqa: SIM118


@pytest.mark.parametrize("number", ["7", "42", "198", "1005"])
def test_the_tokenizer_spells_numbers_digit_by_digit(number: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    pieces = tokenizer.tokenize(f"costs {number} euros")
    assert [piece for piece in pieces if any(letter.isdigit() for letter in piece)] == list(number)


def test_any_text_survives_the_tokenizer() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    text = "Zwölf Teekannen à 24 €, s'il vous plaît! 急须 🫖"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_turn_ends_with_the_token_that_ends_generation() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.eos_token_id == end
    assert AutoConfig.from_pretrained(MODEL).eos_token_id == end
    assert GenerationConfig.from_pretrained(MODEL).eos_token_id == end


def test_the_card_tells_the_changed_prices_and_measured_figures() -> None:
    card = (MODEL / CARD).read_text(encoding="utf-8")
    assert all(f"{today} euros" in card for today in CHANGED_PRICES_EUR.values())
    assert FIGURES_START in card
    assert NOT_MEASURED not in card
