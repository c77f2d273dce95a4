"""Small model and adapter directories in Hugging Face layout, sound enough for the registry, made from a seed."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path

from libs.kit.clock import seeded_random

HIDDEN = 8
RANK = 2
_PIECE_BYTES = 64 << 20
"""Python's generator gives less than 256 MiB at a time."""


def safetensors(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> bytes:
    """A safetensors file of float32 tensors with chance bytes."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    chance = seeded_random(seed)
    pieces = (chance.randbytes(min(_PIECE_BYTES, at - start)) for start in range(0, at, _PIECE_BYTES))
    return b"".join((len(text).to_bytes(8, "little"), text, *pieces))


def write_model(directory: Path, seed: int = 0, *, hidden: int = HIDDEN, rows: int = 0) -> Path:
    """A model of one layer; `rows` more of an embedding make it `rows * hidden * 4` bytes larger."""
    directory.mkdir(parents=True, exist_ok=True)
    shapes = {
        "model.layers.0.self_attn.q_proj.weight": (hidden, hidden),
        "model.layers.0.mlp.up_proj.weight": (2 * hidden, hidden),
        "model.embed_tokens.weight": (16 + rows, hidden),
    }
    (directory / "model.safetensors").write_bytes(safetensors(shapes, seed))
    (directory / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": hidden}))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"})
    )
    (directory / "README.md").write_text(f"# Model {seed}\n")
    return directory


def write_adapter(directory: Path, seed: int = 0, *, hidden: int = HIDDEN) -> Path:
    """A LoRA adapter for `write_model` of the same `hidden`."""
    directory.mkdir(parents=True, exist_ok=True)
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes = {f"{module}.lora_A.weight": (RANK, hidden), f"{module}.lora_B.weight": (hidden, RANK)}
    (directory / "adapter_model.safetensors").write_bytes(safetensors(shapes, seed))
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory
