"""A training that was stopped goes on to the same bytes, and takes up nothing that is not whole."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from libs.contracts.training import Method, Recipe
from services.trainer.recipes.parts.checkpoints import MANIFEST, Checkpoints, load_state, save_state
from services.trainer.recipes.parts.resumable import _random_state, _set_random_state
from services.trainer.work.order import Done, Said, Stopped
from tests.unit.trainer.tiny import make_base, order_for, train

STEPS = 9
EVERY = 3


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "tiny")


class AfterLooks:
    """A wish to stop that comes true when it was looked at so many times: once a step."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def recipe(**more: object) -> Recipe:
    values = {"steps": STEPS, "learning_rate": 1e-2, "checkpoint_steps": EVERY, "batch_rows": 4, "accumulation": 2}
    return Recipe(**{**values, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "method", "full"),
    [
        ("sft", Method.SFT, False),
        ("sft", Method.SFT, True),
        ("preference", Method.DPO, False),
        ("kto", Method.KTO, False),
    ],
)
def test_a_stopped_training_goes_on_to_the_same_bytes(
    base: Path, tmp_path: Path, shape: str, method: Method, *, full: bool
) -> None:
    settings = recipe(method=method, full=full)
    whole = train(order_for(tmp_path / "whole", base, shape, settings))
    order = order_for(tmp_path / "parts", base, shape, settings)
    stopped = train(order, AfterLooks(1))
    assert stopped.said(Stopped) == [Stopped(step=2)]
    assert stopped.said(Done) == []
    again = train(order, AfterLooks(2))
    assert again.started.resumed_step == 2
    assert again.said(Stopped) == [Stopped(step=5)]
    last = train(order)
    assert last.started.resumed_step == 5
    assert last.weights == whole.weights
    assert last.metrics["tokens"] == whole.metrics["tokens"]
    assert sorted(path.name for path in (tmp_path / "parts" / "checkpoints").iterdir()) == ["6", "9"]


def test_pretraining_from_nothing_resumes_too(tmp_path: Path) -> None:
    settings = recipe(max_tokens=64, packing=True)
    whole = train(order_for(tmp_path / "whole", "", "text", settings))
    order = order_for(tmp_path / "parts", "", "text", settings)
    train(order, AfterLooks(3))
    assert train(order).weights == whole.weights


def test_after_a_broken_checkpoint_training_goes_on_from_the_one_before_it(base: Path, tmp_path: Path) -> None:
    order = order_for(tmp_path, base, "sft", recipe())
    whole = train(order)
    _harm(tmp_path / "checkpoints" / "9", "another byte")
    resumed = train(order)
    assert resumed.started.resumed_step == 6
    assert any("step 9 is not used" in report.text for report in resumed.said(Said))
    assert resumed.weights == whole.weights


@pytest.mark.parametrize("harm", ["no manifest", "half a manifest", "another byte", "cut", "missing", "other data"])
def test_a_checkpoint_that_is_not_whole_is_removed(tmp_path: Path, harm: str) -> None:
    checkpoints = Checkpoints(tmp_path, "inputs")
    for step in (3, 6):
        folder = checkpoints.begin(step)
        save_state(folder, "weights", {"step": torch.tensor([step])})
        save_state(folder, "optimizer", {"step": step})
        checkpoints.finish(step)
    _harm(tmp_path / "6", harm)
    assert checkpoints.newest(print) == tmp_path / "3"
    assert not (tmp_path / "6").exists()


def test_with_other_rows_nothing_is_resumed(base: Path, tmp_path: Path) -> None:
    order = order_for(tmp_path, base, "sft", recipe())
    train(order)
    rows = Path(order.rows)
    rows.write_text(rows.read_text().replace("lamp", "desk"))
    assert train(order).started.resumed_step == 0


def test_a_training_that_had_ended_only_writes_its_result_again(base: Path, tmp_path: Path) -> None:
    order = order_for(tmp_path, base, "sft", recipe())
    first = train(order)
    card = (tmp_path / "result" / "README.md").read_bytes()
    again = train(order)
    assert again.started.resumed_step == STEPS
    assert again.weights == first.weights
    assert (tmp_path / "result" / "README.md").read_bytes() == card
    chance = {"seconds", "peak_rss_bytes"}
    assert {name: again.metrics[name] for name in again.metrics.keys() - chance} == {
        name: first.metrics[name] for name in first.metrics.keys() - chance
    }


def test_checkpoints_hold_no_pickle_and_manifests_name_every_file(base: Path, tmp_path: Path) -> None:
    train(order_for(tmp_path, base, "sft", recipe()))
    folder = tmp_path / "checkpoints" / "9"
    names = {path.name for path in folder.iterdir()}
    assert {Path(name).suffix for name in names} == {".json", ".safetensors"}
    assert set(json.loads((folder / MANIFEST).read_text())["files"]) == names - {MANIFEST}


def test_any_state_of_an_optimiser_survives(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    state = {
        "state": {0: {"step": torch.tensor(3.0), "moment": shared, "again": shared}},
        "groups": [{"betas": (0.9, 0.999), "params": [0, 1], "foreach": None, "name": "a"}],
        "array": np.arange(3, dtype=np.uint32),
    }
    save_state(tmp_path, "optimizer", state)
    back = load_state(tmp_path, "optimizer")
    assert list(back["state"]) == [0]
    assert torch.equal(back["state"][0]["again"], shared)
    assert back["groups"] == state["groups"]
    assert back["array"].dtype == np.uint32
    with pytest.raises(TypeError, match="no data"):
        save_state(tmp_path, "code", {"hook": print})


def test_chance_goes_on_where_it_was(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(1))  # noqa: NPY002

    save_state(tmp_path, "random", _random_state())
    drawn = draw()
    _set_random_state(load_state(tmp_path, "random"))
    assert draw() == drawn


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "inputs")
    for step in (5, 10, 15):
        save_state(checkpoints.begin(step), "state", {"step": step})
        checkpoints.finish(step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "15"]
    assert checkpoints.newest(print) == tmp_path / "15"
    assert Checkpoints(tmp_path, "others").newest(print) is None


def _harm(folder: Path, harm: str) -> None:
    manifest, weights = folder / MANIFEST, folder / "weights.safetensors"
    if harm == "no manifest":
        manifest.unlink()
    elif harm == "half a manifest":
        manifest.write_bytes(manifest.read_bytes()[:100])
    elif harm == "another byte":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    elif harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-8])
    elif harm == "missing":
        (folder / "weights.safetensors").unlink()
    else:
        document = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(document | {"inputs": "other"}))
