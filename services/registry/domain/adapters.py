"""Whether an adapter can belong to a base, judged by the names and shapes of their tensors."""

import re
from collections.abc import Mapping
from typing import Final

from libs.kit.errors import ServiceError
from libs.kit.safetensors_header import Tensor

_LORA: Final = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>A|B)(?:\.[^.]+)?\.weight")
_MATRIX: Final = 2


def check_fit(adapter: Mapping[str, Tensor], base: Mapping[str, Tensor], base_reference: str) -> None:
    """Refuse an adapter that was made for another model.

    Modules that the base does not name like the adapter (fused or renamed ones) are left to the engine, as long as
    some are found and fit.

    Raises:
        ServiceError: `incompatible_base`.
    """
    weights = {name.removesuffix(".weight"): tensor.shape for name, tensor in base.items() if name.endswith(".weight")}
    found = False
    for name, tensor in sorted(adapter.items()):
        match = _LORA.fullmatch(name)
        if match is None or len(tensor.shape) != _MATRIX:
            continue
        shape = _shape_of(match["module"], weights)
        if shape is None:
            continue
        found = True
        # A is rank by inputs, B outputs by rank; some models store their weights the other way round.
        width = tensor.shape[1] if match["side"] == "A" else tensor.shape[0]
        if width not in shape:
            raise ServiceError(
                "incompatible_base",
                f"{name} has {width} {'inputs' if match['side'] == 'A' else 'outputs'}, but that module of"
                f" {base_reference} is {' by '.join(str(size) for size in shape)}: the adapter is for another base.",
                param="base",
            )
    if not found:
        raise ServiceError(
            "incompatible_base",
            f"{base_reference} has none of the modules that the adapter changes: it is for another base.",
            param="base",
        )


def _shape_of(module: str, weights: Mapping[str, tuple[int, ...]]) -> tuple[int, ...] | None:
    """Shape of the base's weight for `module`; saved models may leave out the first parts of its name."""
    while module:
        if (shape := weights.get(module)) is not None:
            return shape
        module = module.partition(".")[2]
    return None
