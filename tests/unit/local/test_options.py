"""Options: the command line over the environment over the defaults; wrong values are explained."""

from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.options import STARTER, STARTER_NAME, home_from, options_from
from libs.contracts.versions import NAME


def test_the_command_line_wins_over_the_environment(tmp_path: Path) -> None:
    environment = {"LLMOS_HOME": str(tmp_path), "LLMOS_WORKERS": "2", "LLMOS_PORT": "9001", "LLMOS_NATS_PORT": "9002"}

    assert options_from(environment).ports == {"nats": 9002, "gateway": 9001}
    assert options_from(environment, port=9003, workers=3).ports["gateway"] == 9003
    assert (options_from(environment).workers, options_from(environment, workers=3).workers) == (2, 3)
    assert home_from(environment).root == tmp_path


def test_the_starter_is_served_under_its_own_name(tmp_path: Path) -> None:
    options = options_from({"LLMOS_HOME": str(tmp_path)})

    assert (options.model, options.model_name) == (str(STARTER), STARTER_NAME)


def test_a_directory_is_served_under_its_last_name_and_a_hub_name_whole(tmp_path: Path) -> None:
    model = tmp_path / "my-model"
    model.mkdir()
    (model / "config.json").write_text("{}")

    local, hub = options_from({}, model=str(model)), options_from({}, model="Qwen/Qwen3-0.6B")

    assert (local.model_name, local.is_local) == ("my-model", True)
    assert (hub.model_name, hub.is_local) == ("Qwen/Qwen3-0.6B", False)


@pytest.mark.parametrize(
    ("directory", "name"),
    [("Qwen3-0.6B", "qwen3-0.6b"), ("My Model!", "my-model"), ("--", "model"), ("x" * 99, "x" * 64)],
)
def test_a_directorys_name_becomes_one_that_the_registry_takes(directory: str, name: str, tmp_path: Path) -> None:
    (tmp_path / directory).mkdir()
    (tmp_path / directory / "config.json").write_text("{}")

    assert options_from({}, model=str(tmp_path / directory)).model_name == name
    assert NAME.fullmatch(name)


def test_a_model_that_was_named_is_known_from_one_that_was_not(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    assert not options_from({}).model_asked
    assert options_from({}, model=str(tmp_path)).model_asked
    assert options_from({"LLMOS_MODEL": str(tmp_path)}).model_asked


def test_a_directory_without_a_model_is_an_error_that_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"config\.json"):
        options_from({}, model=str(tmp_path))


@pytest.mark.parametrize(
    "environment",
    [
        {"LLMOS_WORKERS": "many"},
        {"LLMOS_WORKERS": "-1"},
        {"LLMOS_PORT": "70000"},
        {"LLMOS_POSTGRES_PORT": "http"},
        {"LLMOS_MODEL": "/no/such/directory"},
        {"LLMOS_MODEL": "./no/such"},
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(environment: dict[str, str]) -> None:
    value = next(iter(environment.values()))
    with pytest.raises(StackError, match=value.removeprefix("./").removeprefix("/")):
        options_from(environment)
