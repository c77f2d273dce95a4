"""How vLLM is started."""

import os
from pathlib import Path

import pytest

from services.inference.engine import AdapterRoom
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


def test_room_for_adapters_becomes_flags_that_a_deployment_may_overrule(tmp_path: Path) -> None:
    room = AdapterRoom(slots=4, max_rank=32, resident=2)
    flags = engine_flags(tmp_path, ("m",), ("--max-loras", "8"), cpu=False, adapters=room)
    assert "--enable-lora" in flags
    assert flags[flags.index("--max-loras") + 1] == "4"
    assert flags.index("--max-loras") < len(flags) - 1 - flags[::-1].index("--max-loras")
    assert flags[flags.index("--max-lora-rank") + 1] == "32"
    assert flags[flags.index("--max-cpu-loras") + 1] == "4", "never fewer than one batch may need"


def test_without_room_adapters_are_off(tmp_path: Path) -> None:
    for room in (None, AdapterRoom(slots=0, max_rank=32, resident=2)):
        assert "--enable-lora" not in engine_flags(tmp_path, ("m",), (), cpu=False, adapters=room)
