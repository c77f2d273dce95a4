"""State dicts as JSON and tensors: what pickle would do, without anything that could run when it is read."""

from typing import Any

import numpy as np
import torch

Tensors = dict[str, torch.Tensor]


def unpack(value: Any, tensors: Tensors, path: str = "") -> Any:
    """`value` as JSON can hold it; its tensors go to `tensors` under the paths that stand in their place.

    Raises:
        TypeError: there is something in it that is neither data nor a container.
    """
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, dict):
        items = [[key, unpack(one, tensors, f"{path}/{key}")] for key, one in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [unpack(one, tensors, f"{path}/{place}") for place, one in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}, which is no data")


def pack(node: Any, tensors: Tensors) -> Any:
    """What `unpack` was given."""
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "array" in node:
        return np.array(node["array"], dtype=node["dtype"])
    if "dict" in node:
        return {key: pack(one, tensors) for key, one in node["dict"]}
    if "list" in node:
        return [pack(one, tensors) for one in node["list"]]
    return tuple(pack(one, tensors) for one in node["tuple"])
