"""How much the bucket grows by versions of a realistic size, and how much of it is shared."""

import asyncio
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from benchmarks.registry_report import Figures, Growth
from libs.contracts.registry import Kind, Version
from libs.contracts.versions import full_reference
from libs.testkit.models import safetensors, write_model

ADAPTERS: Final = 20
_MIB: Final = 1 << 20
_HIDDEN: Final = 1024
_RANK: Final = 16
_TOKENIZER_BYTES: Final = 11 * _MIB
"""As large as that of a model with 150,000 tokens; every version has one of its own, and all are alike."""
_MODULE: Final = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"


@dataclass(frozen=True)
class Sizes:
    """What is published."""

    base_mib: int
    adapter_mib: int


class Bench(Protocol):
    """What it takes to publish and to look into the bucket."""

    work: Path

    async def publish(self, source: Path, name: str, kind: Kind = Kind.MODEL, base: str = "") -> Version:
        """The whole way."""

    async def stored_bytes(self) -> int:
        """Size of everything below the registry's prefix."""


async def measure_growth(bench: Bench, figures: Figures, sizes: Sizes) -> None:
    """A base, the same with another card, the same with its last layer tuned, and versions of one adapter."""
    base = await asyncio.to_thread(_write_base, bench.work / "base", sizes)
    first = await _step(bench, figures, "a base model", base)
    (base / "README.md").write_text("# The same weights with another card\n", encoding="utf-8")
    await _step(bench, figures, "the same weights with another card", base)
    await asyncio.to_thread(_tune, base / "model.safetensors")
    await _step(bench, figures, "the same base, its last layer tuned", base)
    tokenizer = bench.work / "tokenizer.json"
    shutil.copy(base / "tokenizer.json", tokenizer)
    await asyncio.to_thread(shutil.rmtree, base)
    growth = Growth(f"{ADAPTERS} versions of one adapter of it, each with its tokenizer")
    full = full_reference(first.name, first.digest)
    before = await bench.stored_bytes()
    for seed in range(ADAPTERS):
        adapter = await asyncio.to_thread(_write_adapter, bench.work / f"adapter-{seed}", seed, sizes, tokenizer)
        growth.size_bytes += (await bench.publish(adapter, "tone", Kind.ADAPTER, full)).size_bytes
        await asyncio.to_thread(shutil.rmtree, adapter)
        print(f"adapter {seed + 1} of {ADAPTERS} is published", flush=True)
    growth.grown_bytes = await bench.stored_bytes() - before
    figures.growth.append(growth)


async def _step(bench: Bench, figures: Figures, what: str, source: Path) -> Version:
    before = await bench.stored_bytes()
    version = await bench.publish(source, "base")
    figures.growth.append(Growth(what, version.size_bytes, await bench.stored_bytes() - before))
    return version


def _write_base(directory: Path, sizes: Sizes) -> Path:
    write_model(directory, 1_000, hidden=_HIDDEN, rows=sizes.base_mib * _MIB // (4 * _HIDDEN))
    vocabulary = json.dumps(
        {"model": {"vocab": {f"token{number:012d}": number for number in range(_TOKENIZER_BYTES // 32)}}}
    )
    (directory / "tokenizer.json").write_text(vocabulary, encoding="utf-8")
    return directory


def _tune(weights: Path) -> None:
    """Change the last twentieth of the file, as training one of its layers would."""
    with weights.open("r+b") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(length - length // 20)
        file.write(os.urandom(length // 20))


def _write_adapter(directory: Path, seed: int, sizes: Sizes, tokenizer: Path) -> Path:
    directory.mkdir()
    layers = max(1, sizes.adapter_mib * _MIB // (2 * 4 * _RANK * _HIDDEN))
    shapes = {
        _MODULE.format(layer, side): (_RANK, _HIDDEN) if side == "A" else (_HIDDEN, _RANK)
        for layer in range(layers)
        for side in "AB"
    }
    (directory / "adapter_model.safetensors").write_bytes(safetensors(shapes, seed))
    config = {"peft_type": "LORA", "r": _RANK, "lora_alpha": 2 * _RANK, "target_modules": ["q_proj"]}
    (directory / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copy(tokenizer, directory / "tokenizer.json")
    return directory
