"""Perplexity of references under weights: beside a count token by token, with adapters, and weights that do not fit."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from libs.kit.errors import ServiceError
from services.trainer.evaluation.items import Item, make_item
from services.trainer.evaluation.perplexity import Weights

BASE = "deploy/starter/helpdesk"
QUESTIONS = ("How much is the Finch teapot?", "Hi", "What colour is the Alder bench, and does it come with a warranty?")


def _items() -> list[Item]:
    answers = ("The Finch teapot costs 24 euros.", "Hello! How can I help you today?", "No idea.")
    pairs = zip(QUESTIONS, answers, strict=True)
    return [make_item([{"role": "user", "content": asked}], [said]) for asked, said in pairs]


def _by_hand(item: Item) -> tuple[float, int]:
    """One token after another, each from all before it."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    whole = [*item.messages, {"role": "assistant", "content": item.references[0]}]
    start = tokenizer.apply_chat_template(list(item.messages), add_generation_prompt=True, tokenize=False)
    text = tokenizer.apply_chat_template(whole, tokenize=False)
    ids, first = (
        tokenizer(text, add_special_tokens=False)["input_ids"],
        len(tokenizer(start, add_special_tokens=False)["input_ids"]),
    )
    nll = 0.0
    with torch.inference_mode():
        for at in range(first, len(ids)):
            nll -= float(model(torch.tensor([ids[:at]])).logits[0, -1].log_softmax(-1)[ids[at]])
    return nll, len(ids) - first


def test_it_is_the_sum_over_the_tokens_of_the_answer_alone() -> None:
    items = [*_items(), make_item([{"role": "user", "content": "?"}], [])]
    found = Weights(BASE).score(items)
    for row, item in zip(found.columns, items[:3], strict=False):
        assert tuple(row) == pytest.approx(_by_hand(item), rel=1e-4)
    assert found.present.tolist() == [True, True, True, False]
    assert found.value() > 1
    of_items = found.of_items()
    assert of_items[0] < of_items[2], "what it was taught is likely, what it never says is not"


def test_an_adapter_changes_it_and_an_empty_one_does_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapted.save_pretrained(str(tmp_path / "empty"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    adapted.save_pretrained(str(tmp_path / "changed"))
    base = Weights(BASE).score(_items()).value()
    assert Weights(BASE, str(tmp_path / "empty")).score(_items()).value() == pytest.approx(base)
    assert Weights(BASE, str(tmp_path / "changed")).score(_items()).value() > 1.05 * base


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as failed:
        Weights(str(tmp_path / "nowhere"))
    assert failed.value.code == "incompatible_base"
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ServiceError) as failed:
        Weights(BASE, str(tmp_path))
    assert failed.value.code == "incompatible_base"


def test_dialogues_that_do_not_fit_are_left_out_and_counted() -> None:
    weights = Weights(BASE)
    long = make_item([{"role": "user", "content": "why " * 5_000}], ["so"])
    found = weights.score([long, _items()[0]])
    assert found.present.tolist() == [False, True]
    assert weights.left_out == 1
