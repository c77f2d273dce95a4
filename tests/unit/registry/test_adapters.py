"""An adapter belongs to a base whose modules it names in their shapes."""

import pytest

from libs.kit.errors import ServiceError
from libs.kit.safetensors_header import Tensor
from services.registry.domain.adapters import check_fit

MODULE = "layers.0.self_attn.q_proj"


def tensors(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name.replace("__", "."): Tensor("F32", shape, 0, 0) for name, shape in shapes.items()}


def weights(prefix: str, *shape: int) -> dict[str, Tensor]:
    return {f"{prefix}{MODULE}.weight": Tensor("F32", shape, 0, 0)}


def adapter(inputs: int, outputs: int, module: str = f"base_model.model.model.{MODULE}") -> dict[str, Tensor]:
    return {
        f"{module}.lora_A.weight": Tensor("F32", (2, inputs), 0, 0),
        f"{module}.lora_B.weight": Tensor("F32", (outputs, 2), 0, 0),
    }


@pytest.mark.parametrize(
    ("base", "made"),
    [
        (weights("model.", 16, 8), adapter(8, 16)),
        (weights("", 16, 8), adapter(8, 16)),
        (weights("model.", 8, 16), adapter(8, 16)),
        (weights("model.", 16, 8), adapter(8, 16, f"model.{MODULE}")),
        (weights("model.", 16, 8), adapter(8, 16) | adapter(5, 5, "base_model.model.model.layers.0.fused")),
    ],
    ids=["same names", "shorter names", "stored the other way round", "no prefix", "one module unknown"],
)
def test_an_adapter_of_this_base_fits(base: dict[str, Tensor], made: dict[str, Tensor]) -> None:
    check_fit(made, base, "helpdesk@sha256:0")


@pytest.mark.parametrize(
    ("base", "made"),
    [
        (weights("model.", 16, 8), adapter(24, 16)),
        (weights("model.", 16, 8), adapter(8, 24)),
        (weights("model.", 16, 8), adapter(8, 16, "base_model.model.h.0.attn.c_attn")),
        ({}, adapter(8, 16)),
        (weights("model.", 16, 8), tensors(other__weight=(8, 16))),
    ],
    ids=["inputs", "outputs", "other architecture", "empty base", "no LoRA at all"],
)
def test_an_adapter_of_another_base_does_not(base: dict[str, Tensor], made: dict[str, Tensor]) -> None:
    with pytest.raises(ServiceError) as caught:
        check_fit(made, base, "helpdesk@sha256:0")
    assert caught.value.code == "incompatible_base"
