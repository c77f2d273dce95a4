"""The base: loaded, checked against its tokenizer, and given an adapter unless all of it is taught."""

import json
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from libs.contracts.training import Precision, Recipe
from libs.kit.errors import ServiceError

LARGE_WEIGHTS: Final = 1_000_000_000
"""From here on activations are computed twice instead of kept."""


def precision_of(recipe: Recipe) -> torch.dtype:
    """Of the forward and backward pass on this machine."""
    if recipe.precision is Precision.AUTO:
        return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if recipe.precision is Precision.BFLOAT16 else torch.float32


def load_base(directory: str, recipe: Recipe) -> tuple[Any, Any]:
    """Model and tokenizer; weights that are taught are float32, frozen ones of the precision of the pass.

    Raises:
        ServiceError: `incompatible_base`, they cannot be loaded or do not fit each other.
    """
    dtype = torch.float32 if recipe.full else precision_of(recipe)
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(directory, config=config, dtype=dtype, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _incompatible(f"The base cannot be loaded: {str(error)[:300]}") from error
    check_fit(model, tokenizer)
    return model, tokenizer


def check_fit(model: Any, tokenizer: Any) -> None:
    """Accept a tokenizer all of whose tokens the model knows, and which can end a turn.

    Raises:
        ServiceError: `incompatible_base`.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= rows:
        raise _incompatible(f"The tokenizer knows token {highest}, the base's embedding has {rows} rows only.")
    if tokenizer.eos_token_id is None:
        raise _incompatible("The tokenizer names no token that ends a turn (eos_token).")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token


def with_adapter(model: Any, recipe: Recipe) -> Any:
    """The model with a fresh LoRA adapter on every linear layer but the last (arXiv:2106.09685, arXiv:2305.14314).

    An update of `W [out x in]` is `alpha / rank * B A` with `A [rank x in]` drawn at random and `B [out x rank]` zero.
    """
    # No dropout: the data are few and seen a few times only, and a pass without chance resumes exactly.
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type] # PEFT takes fractions
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(recipe.seed)
    return get_peft_model(model, config)


def context_tokens(model: Any, recipe: Recipe) -> int:
    """How long a row may be: what was asked for, and no longer than the base can read."""
    return min(recipe.max_tokens, getattr(model.config, "max_position_embeddings", recipe.max_tokens))


def weights_of(model: Any) -> int:
    """How many weights there are."""
    return sum(weight.numel() for weight in model.parameters())


def dtype_on_disk(directory: Path) -> torch.dtype:
    """What the base's weights are stored as; a model made of it is stored the same way."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    found = getattr(torch, name, torch.float32)
    return found if isinstance(found, torch.dtype) else torch.float32


def _incompatible(message: str) -> ServiceError:
    return ServiceError("incompatible_base", message, param="base")
