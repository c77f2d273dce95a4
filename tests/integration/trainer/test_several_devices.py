"""The same recipes in two processes: they learn what one learns from the same rows, and agree."""

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from libs.contracts.training import Method, Recipe
from libs.kit.errors import ServiceError
from services.trainer.recipes.launch import run_together
from services.trainer.work.order import Checkpointed, Done, Report, Started, Stopped, Train
from tests.unit.trainer.tiny import Training, make_base, order_for, train

pytestmark = pytest.mark.slow
STEPS = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny")


def recipe(method: Method, batch_rows: int, **more: object) -> Recipe:
    values = {"method": method, "batch_rows": batch_rows, "steps": STEPS, "learning_rate": 5e-3, "checkpoint_steps": 2}
    return Recipe(**{**values, **more})  # type: ignore[arg-type]


def together(order: Train, stop: threading.Event | None = None) -> Training:
    training = Training(order)
    Path(order.directory).mkdir(parents=True, exist_ok=True)
    run_together(order, training.reports.append, stop or threading.Event(), 2)
    return training


def weights(training: Training) -> dict[str, torch.Tensor]:
    return load_file(training.directory / "result" / "adapter_model.safetensors")


@pytest.mark.parametrize(("shape", "method"), [("sft", Method.SFT), ("preference", Method.DPO)])
def test_two_processes_learn_what_one_learns_from_batches_twice_as_large(
    base: Path, tmp_path: Path, shape: str, method: Method
) -> None:
    one = train(order_for(tmp_path / "one", base, shape, recipe(method, 8, sft_weight=0.0)))
    two = together(order_for(tmp_path / "two", base, shape, recipe(method, 4, sft_weight=0.0)))
    assert len(two.said(Started)) == len(two.said(Done)) == 1
    assert two.checkpoints == [2, 4, 6]
    torch.testing.assert_close(weights(two), weights(one), rtol=1e-3, atol=1e-5)


def test_stopped_together_they_go_on_to_the_same_bytes(base: Path, tmp_path: Path) -> None:
    settings = recipe(Method.KTO, 4)
    whole = together(order_for(tmp_path / "whole", base, "kto", settings))
    order = order_for(tmp_path / "parts", base, "kto", settings)
    stop = threading.Event()

    class Listening(Training):
        def hear(self, report: Report) -> None:
            self.reports.append(report)
            if isinstance(report, Checkpointed):
                stop.set()

    parts = Listening(order)
    Path(order.directory).mkdir(parents=True, exist_ok=True)
    run_together(order, parts.hear, stop, 2)
    last = together(order)
    if parts.said(Stopped):
        assert last.started.resumed_step == parts.said(Stopped)[0].step >= 2
    assert last.weights == whole.weights


def test_what_one_process_fails_of_is_what_the_training_fails_of(tmp_path: Path) -> None:
    order = order_for(tmp_path, tmp_path / "nowhere", "sft", recipe(Method.SFT, 4))
    with pytest.raises(ServiceError) as failed:
        run_together(order, lambda _: None, threading.Event(), 2)
    assert failed.value.code == "incompatible_base"
