"""Every recipe learns what its rows hold, on a base of a few thousand weights."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from libs.contracts.training import Method, Precision, Recipe
from services.trainer.work.order import Progressed, Said
from tests.unit.trainer.tiny import Row, make_base, order_for, sft_rows, train, write_rows

STEPS = 12


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny")


def recipe(**more: object) -> Recipe:
    return Recipe(**{"steps": STEPS, "learning_rate": 2e-2, "checkpoint_steps": 100, "batch_rows": 8, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "method"),
    [
        ("sft", Method.SFT),
        ("kto", Method.SFT),
        ("kto", Method.KTO),
        ("preference", Method.SFT),
        ("preference", Method.DPO),
        ("preference", Method.KTO),
        ("text", Method.PRETRAIN),
    ],
)
def test_a_recipe_makes_an_adapter_that_says_more_likely_what_was_good(
    base: Path, tmp_path: Path, shape: str, method: Method
) -> None:
    order = order_for(tmp_path, base, shape, recipe(method=method))
    write_rows(tmp_path / "data" / "test.jsonl", json.loads(f"[{','.join(Path(order.rows).read_text().splitlines())}]"))
    done = train(order)
    assert done.started.method == method
    assert done.metrics["heldout_loss"] < done.metrics["heldout_loss_base"] - 0.3
    config = json.loads((tmp_path / "result" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert str(tmp_path.parent) not in (tmp_path / "result" / "adapter_config.json").read_text()
    assert f"{method}" in (tmp_path / "result" / "README.md").read_text().lower() or method is Method.PRETRAIN


def test_the_adapter_loads_in_peft_and_changes_the_answer(base: Path, tmp_path: Path) -> None:
    train(order_for(tmp_path, base, "sft", recipe()))
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokens = torch.tensor([[5, 6, 7]])
    before = model(tokens).logits
    adapted = PeftModel.from_pretrained(model, tmp_path / "result")
    assert not torch.allclose(before, adapted(tokens).logits)


@pytest.mark.parametrize("shape", ["sft", "preference", "kto"])
def test_a_full_training_makes_a_whole_model(base: Path, tmp_path: Path, shape: str) -> None:
    methods = {"sft": Method.SFT, "preference": Method.DPO, "kto": Method.KTO}
    order = order_for(tmp_path, base, shape, recipe(full=True, learning_rate=3e-3, method=methods[shape], steps=4))
    train(order)
    result = tmp_path / "result"
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    after = AutoModelForCausalLM.from_pretrained(result).state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert AutoTokenizer.from_pretrained(result).chat_template == AutoTokenizer.from_pretrained(base).chat_template
    assert str(base.parent) not in (result / "config.json").read_text()


def test_pretraining_from_nothing_makes_model_and_tokenizer(tmp_path: Path) -> None:
    done = train(order_for(tmp_path, "", "text", recipe(steps=20, learning_rate=0.0, max_tokens=64)))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "result")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "result")
    assert tokenizer.decode(tokenizer("Lamp 25 costs")["input_ids"]) == "Lamp 25 costs"
    first, *_, last = [report.progress.loss for report in done.said(Progressed)]
    assert last < first / 2
    assert model.config.max_position_embeddings == 64


def test_packing_learns_the_same(base: Path, tmp_path: Path) -> None:
    loose = train(order_for(tmp_path / "loose", base, "sft", recipe(steps=3)))
    packed = train(order_for(tmp_path / "packed", base, "sft", recipe(steps=3, packing=True)))
    torch.testing.assert_close(_tensors(loose.directory), _tensors(packed.directory), rtol=1e-4, atol=1e-5)


def test_accumulation_learns_the_same(base: Path, tmp_path: Path) -> None:
    whole = train(order_for(tmp_path / "whole", base, "sft", recipe(steps=3)))
    parts = train(order_for(tmp_path / "parts", base, "sft", recipe(steps=3, accumulation=4)))
    torch.testing.assert_close(_tensors(whole.directory), _tensors(parts.directory), rtol=1e-4, atol=1e-5)


def test_half_precision_learns_too(base: Path, tmp_path: Path) -> None:
    done = train(order_for(tmp_path, base, "sft", recipe(precision=Precision.BFLOAT16)))
    first, *_, last = [report.progress.loss for report in done.said(Progressed)]
    assert last < first


@pytest.mark.parametrize("method", [Method.SFT, Method.DPO, Method.KTO, Method.PRETRAIN])
def test_replayed_answers_are_learned_beside_the_rows(base: Path, tmp_path: Path, method: Method) -> None:
    shape = {Method.SFT: "sft", Method.DPO: "preference", Method.KTO: "kto", Method.PRETRAIN: "text"}[method]
    old = [
        {
            "messages": [
                {"role": "user", "content": f"Who are you, {n}?"},
                {"role": "assistant", "content": "A shop desk."},
            ]
        }
        for n in range(8)
    ]
    losses = []
    for name, share in (("without", 0.0), ("with", 0.5)):
        replay = str(write_rows(tmp_path / name / "replay.jsonl", old)) if share else ""
        settings = recipe(method=method, replay_share=share)
        order = order_for(tmp_path / name, base, shape, settings, replay=replay)
        train(order)
        losses.append(_loss_of(base, tmp_path / name / "result", old))
    assert losses[1] < losses[0] - 0.3


def test_a_demonstration_counts_as_often_as_it_weighs(base: Path, tmp_path: Path) -> None:
    rows = sft_rows(8)
    for number, row in enumerate(rows):
        row["messages"][1]["content"] = "Blue." if row.get("demonstration") else "Green."
        row["messages"][0]["content"] = f"Which colour, {number}?"
    light = _with_rows(base, tmp_path / "light", rows, 1)
    heavy = _with_rows(base, tmp_path / "heavy", rows, 20)
    blue = [{"messages": rows[0]["messages"]}]
    assert _loss_of(base, heavy, blue) < _loss_of(base, light, blue) - 0.1


def test_auto_says_what_it_became_and_why(base: Path, tmp_path: Path) -> None:
    done = train(order_for(tmp_path, base, "text", recipe(steps=2)))
    assert done.started.method == Method.PRETRAIN
    assert any("auto became pretrain" in report.text for report in done.said(Said))


def _with_rows(base: Path, directory: Path, rows: list[Row], weight: int) -> Path:
    write_rows(directory / "data" / "train.jsonl", rows)
    train(order_for(directory, base, "sft", recipe(demonstration_weight=weight)))
    return directory / "result"


def _tensors(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "result" / "adapter_model.safetensors")


def _loss_of(base: Path, adapter: Path, rows: list[Row]) -> float:
    """Mean loss of the answers, taken by means of the libraries alone."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
    losses: list[float] = []
    for row in rows:
        *prompt, answer = row["messages"]
        before = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        whole = before + tokenizer(answer["content"] + tokenizer.eos_token)["input_ids"]
        labels = [-100] * len(before) + whole[len(before) :]
        losses.append(model(torch.tensor([whole]), labels=torch.tensor([labels])).loss.item())
    return sum(losses) / len(losses)
