"""How vLLM is started."""

import os
from pathlib import Path

import pytest

from services.inference.engines.flags import engine_flags, prepare_environment

MODEL = Path("deploy/starter/helpdesk")
NAMES = ("helpdesk", "helpdesk@champion")


def value_of(flags: list[str], name: str) -> str:
    """As argparse reads it: the last one wins."""
    return flags[len(flags) - flags[::-1].index(name)]


def test_an_operator_may_choose_but_not_what_the_worker_relies_on() -> None:
    extra = ("--max-num-seqs", "4", "--scheduling-policy", "fcfs", "--dtype", "float16")
    flags = engine_flags(MODEL, NAMES, extra, cpu=True)
    assert value_of(flags, "--max-num-seqs") == "4"
    assert value_of(flags, "--dtype") == "float16"
    assert value_of(flags, "--scheduling-policy") == "priority"
    assert flags[-2:] == list(NAMES)


def test_no_url_in_a_request_can_be_fetched() -> None:
    assert value_of(engine_flags(MODEL, NAMES, (), cpu=False), "--allowed-media-domains").endswith(".invalid")


def test_a_gpu_keeps_vllms_own_choices() -> None:
    flags = engine_flags(MODEL, NAMES, (), cpu=False)
    assert not {"--dtype", "--enforce-eager", "--max-num-seqs", "--max-model-len"} & set(flags)


def test_the_environment_of_the_operator_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "7"})
    prepare_environment(cpu=True)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    assert os.environ["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
