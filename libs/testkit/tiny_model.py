"""Makes a Llama with random weights and a byte-level tokenizer: a real model for a real engine, in under a second."""

import json
from pathlib import Path
from typing import Final

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE: Final = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MAX_MODEL_LEN: Final = 512
_HIDDEN: Final = 64
_INNER: Final = 128
_LAYERS: Final = 2
_HEADS: Final = 2
_KV_HEADS: Final = 1
_HEAD: Final = 32


def make_tiny_model(directory: Path, *, seed: int = 0) -> Path:
    """Write the model into `directory` (made if need be) and return it. One token per byte; never says much."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(directory)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": vocabulary,
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HEAD,
        "max_position_embeddings": MAX_MODEL_LEN,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    save_file(_weights(vocabulary, seed), directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def _write_tokenizer(directory: Path) -> int:
    words = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": _TEMPLATE,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return len(words)


def _weights(vocabulary: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return random.normal(0.0, 0.3, shape).astype(np.float32)

    ones = np.ones(_HIDDEN, dtype=np.float32)
    weights = {
        "model.embed_tokens.weight": matrix(vocabulary, _HIDDEN),
        "model.norm.weight": ones,
        "lm_head.weight": matrix(vocabulary, _HIDDEN),
    }
    for layer in range(_LAYERS):
        prefix = f"model.layers.{layer}"
        weights |= {
            f"{prefix}.input_layernorm.weight": ones,
            f"{prefix}.post_attention_layernorm.weight": ones,
            f"{prefix}.self_attn.q_proj.weight": matrix(_HEADS * _HEAD, _HIDDEN),
            f"{prefix}.self_attn.k_proj.weight": matrix(_KV_HEADS * _HEAD, _HIDDEN),
            f"{prefix}.self_attn.v_proj.weight": matrix(_KV_HEADS * _HEAD, _HIDDEN),
            f"{prefix}.self_attn.o_proj.weight": matrix(_HIDDEN, _HEADS * _HEAD),
            f"{prefix}.mlp.gate_proj.weight": matrix(_INNER, _HIDDEN),
            f"{prefix}.mlp.up_proj.weight": matrix(_INNER, _HIDDEN),
            f"{prefix}.mlp.down_proj.weight": matrix(_HIDDEN, _INNER),
        }
    return weights
