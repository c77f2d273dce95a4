"""Small adapters for the starter model, as PEFT would save them; random, and the same from run to run."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from libs.testkit.platform import ROOT

STARTER = ROOT / "deploy" / "starter" / "helpdesk"
_CONFIG = json.loads((STARTER / "config.json").read_text(encoding="utf-8"))
_HEADS = _CONFIG["num_attention_heads"] * _CONFIG["head_dim"]
_KEYS = _CONFIG["num_key_value_heads"] * _CONFIG["head_dim"]
_HIDDEN = _CONFIG["hidden_size"]
_OUTPUTS = {
    "self_attn.q_proj": _HEADS,
    "self_attn.k_proj": _KEYS,
    "self_attn.v_proj": _KEYS,
    "self_attn.o_proj": _HIDDEN,
}


def make_lora(directory: Path, seed: int, *, rank: int = 8, hidden: int = _HIDDEN, strength: float = 2.0) -> Path:
    """An adapter on the attention of every layer, strong enough to change what the model says."""
    directory.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    tensors = {}
    for layer in range(_CONFIG["num_hidden_layers"]):
        for module, outputs in _OUTPUTS.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            down = chance.standard_normal((rank, hidden)) / hidden**0.5
            up = chance.standard_normal((outputs, rank)) * strength / rank**0.5
            tensors[f"{name}.lora_A.weight"] = down.astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = up.astype(np.float32)
    save_file(tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "helpdesk",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(module.rsplit(".", 1)[1] for module in _OUTPUTS),
    }
    (directory / "adapter_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return directory
