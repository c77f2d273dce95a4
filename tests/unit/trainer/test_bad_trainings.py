"""What cannot be trained fails early, with a code and a sentence that say why."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer

from libs.contracts.training import Method, Recipe
from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.watch import Watch
from services.trainer.work.failures import failure_of
from services.trainer.work.order import Checkpointed, Said
from tests.unit.trainer.tiny import (
    Row,
    Training,
    asked,
    failure,
    kto_rows,
    make_base,
    order_for,
    pair_rows,
    said,
    sft_rows,
    train,
    write_rows,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny")


def fail(base: Path | str, directory: Path, shape: str, rows: list[Row], **recipe: Any) -> ServiceError:
    write_rows(directory / "data" / "train.jsonl", rows)
    return failure(order_for(directory, base, shape, Recipe(steps=2, **recipe)))


@pytest.mark.parametrize(
    ("shape", "rows", "words"),
    [
        ("sft", [], "0 rows"),
        ("sft", sft_rows(3), "3 rows"),
        ("sft", kto_rows(8), "missing: messages"),
        ("kto", sft_rows(8), "missing: completion, label, prompt"),
        ("sft", [row | {"colour": "red"} for row in sft_rows(8)], "nobody knows the column colour"),
        ("sft", [{"messages": [said("Hello.")]}] * 8, "a question and its answer"),
        ("sft", [{"messages": asked(1) * 2}] * 8, "one message of the assistant"),
        ("sft", [{"messages": "Hello."}] * 8, "list of messages"),
        ("sft", [{"messages": [{"role": "user"}, said("A")]}] * 8, "without content"),
        ("sft", [{"messages": [{"role": "user", "content": [{"type": "image_url"}]}, said("A")]}] * 8, "not text"),
        ("kto", [row | {"label": "up"} for row in kto_rows(8)], "true or false"),
        ("kto", [row | {"label": False} for row in kto_rows(8)], "0 good answers"),
        ("preference", [row | {"chosen": []} for row in pair_rows(8)], "not empty"),
        ("text", [{"text": ""}] * 8, "not empty"),
        ("sft", [1] * 8, "no object"),
    ],
)
def test_a_data_set_that_teaches_nothing_is_refused(
    base: Path, tmp_path: Path, shape: str, rows: list[Row], words: str
) -> None:
    error = fail(base, tmp_path, shape, rows)
    assert error.code == "bad_dataset"
    assert words in error.message


def test_the_line_at_fault_is_named(base: Path, tmp_path: Path) -> None:
    rows: list[Row] = sft_rows(8)
    rows[5] = {"messages": []}
    assert "train.jsonl, line 6" in fail(base, tmp_path, "sft", rows).message
    path = write_rows(tmp_path / "data" / "train.jsonl", sft_rows(8))
    path.write_bytes(path.read_bytes() + b'{"messages": [\n')
    assert "line 9" in failure(order_for(tmp_path, base, "sft", Recipe(steps=2))).message


def test_a_split_that_is_not_there_is_a_bad_data_set(base: Path, tmp_path: Path) -> None:
    order = order_for(tmp_path, base, "sft", Recipe(steps=2))
    Path(order.rows).unlink()
    assert failure(order).code == "bad_dataset"


@pytest.mark.parametrize("label", [True, False])
def test_kto_needs_both_kinds_of_thumbs(base: Path, tmp_path: Path, *, label: bool) -> None:
    error = fail(base, tmp_path, "kto", [row | {"label": label} for row in kto_rows(8)], method=Method.KTO)
    assert error.code == "bad_dataset"
    assert ("good" if label else "bad") in error.message


@pytest.mark.parametrize(
    ("shape", "method"), [("sft", Method.DPO), ("kto", Method.DPO), ("text", Method.SFT), ("sft", Method.PRETRAIN)]
)
def test_a_method_that_the_rows_are_not_for_is_refused(base: Path, tmp_path: Path, shape: str, method: Method) -> None:
    assert failure(order_for(tmp_path, base, shape, Recipe(steps=2, method=method))).code == "bad_dataset"


def test_a_shape_that_is_not_for_training_is_refused(base: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "data" / "train.jsonl", sft_rows())
    assert failure(order_for(tmp_path, base, "evaluation", Recipe(steps=2))).code == "invalid_value"


@pytest.mark.parametrize(
    "recipe",
    [
        {"batch_rows": 6, "accumulation": 4},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"rank": 0},
        {"replay_share": 1.0},
        {"max_tokens": 1},
        {"packing": True, "method": Method.DPO},
        {"batch_rows": 4, "accumulation": 4, "method": Method.KTO},
    ],
)
def test_a_recipe_that_means_nothing_is_refused(base: Path, tmp_path: Path, recipe: dict[str, Any]) -> None:
    shape = {Method.DPO: "preference", Method.KTO: "kto"}.get(recipe.get("method", Method.AUTO), "sft")
    assert failure(order_for(tmp_path, base, shape, Recipe(**{"steps": 2, **recipe}))).code == "invalid_value"


def test_long_prompts_lose_their_beginning_and_long_answers_are_left_out(base: Path, tmp_path: Path) -> None:
    rows = sft_rows(8)
    rows[0]["messages"][0]["content"] = "word " * 500
    rows[1]["messages"][1]["content"] = "word " * 500
    write_rows(tmp_path / "data" / "train.jsonl", rows)
    done = train(order_for(tmp_path, base, "sft", Recipe(steps=2)))
    assert any("1 of 8 rows are left out" in report.text for report in done.said(Said))
    error = fail(base, tmp_path / "all", "sft", [rows[1]] * 8)
    assert error.code == "bad_dataset"
    assert "max_tokens" in error.message


def test_a_base_that_is_none_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    assert failure(order_for(tmp_path, tmp_path / "nowhere", "sft", Recipe())).code == "incompatible_base"
    strange = make_base(tmp_path / "strange")
    tokenizer = AutoTokenizer.from_pretrained(strange)
    tokenizer.add_tokens([f"<extra-{number}>" for number in range(5)])
    tokenizer.save_pretrained(strange)
    error = failure(order_for(tmp_path / "a", strange, "sft", Recipe()))
    assert error.code == "incompatible_base"
    assert "embedding has 300 rows" in error.message
    mute = make_base(tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    assert "no chat template" in failure(order_for(tmp_path / "b", mute, "sft", Recipe())).message
    cut = make_base(tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    assert failure(order_for(tmp_path / "c", cut, "sft", Recipe())).code == "incompatible_base"


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_good_checkpoint(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_for(tmp_path, base, "sft", Recipe(steps=8, checkpoint_steps=2, learning_rate=1e-3))
    training = Training(order)
    begin = Watch.on_step_end

    def poison(self: Watch, args: Any, state: Any, control: Any, **more: Any) -> Any:
        if state.global_step == 5:
            for name, one in more["model"].named_parameters():
                if "lora_B" in name:
                    one.data.fill_(float("nan"))
        return begin(self, args, state, control, **more)

    monkeypatch.setattr(Watch, "on_step_end", poison)
    error = failure(order, training)
    assert error.code == "training_diverged"
    assert "learning rate" in error.message
    assert training.said(Checkpointed) == [Checkpointed(step=2), Checkpointed(step=4)]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["2", "4"]


def test_a_disk_without_room_is_refused_before_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1_000)
    monkeypatch.setattr("services.trainer.recipes.parts.learning.shutil.disk_usage", lambda _: usage)
    assert failure(order_for(tmp_path, base, "sft", Recipe(steps=2))).code == "disk_full"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "disk_full"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "out_of_memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
            "out_of_memory",
        ),
        (ServiceError("bad_dataset", "No."), "bad_dataset"),
        (RuntimeError("something else"), "internal_error"),
    ],
)
def test_a_failure_has_the_code_of_what_went_wrong(error: Exception, code: str) -> None:
    assert failure_of(error).code == code
