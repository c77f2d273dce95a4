"""The head of a safetensors file, checked without reading the weights: what the format's own loader insists on."""

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from libs.kit.errors import ServiceError

LENGTH_BYTES: Final = 8
"""The file begins with the header's length: 64 bits, little-endian."""
MAX_HEADER_BYTES: Final = 32 << 20
"""Beyond any real model; the format's own loader stops at 100 MB."""

_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def header_bytes(path: str, head: bytes, size_bytes: int) -> int:
    """Length of the header of a file of `size_bytes`, from its first eight bytes.

    Raises:
        ServiceError: `unsafe_file`, the file is too short or the length is impossible.
    """
    if size_bytes < LENGTH_BYTES or len(head) < LENGTH_BYTES:
        raise _malformed(path, f"it has {size_bytes} bytes; the shortest header has more")
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    if length < len(b"{}") or length > MAX_HEADER_BYTES or LENGTH_BYTES + length > size_bytes:
        raise _malformed(path, f"its header claims {length} bytes of the file's {size_bytes}")
    return length


def read_header(path: str, header: bytes, size_bytes: int) -> dict[str, Tensor]:
    """The tensors of a file of `size_bytes`, by name.

    Raises:
        ServiceError: `unsafe_file`, the header is not JSON of the right shape, holds no tensor, or its tensors do not
            cover the rest of the file exactly once.
    """
    try:
        content = json.loads(header, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"its header is not JSON: {str(error)[:120]}") from error
    if not header.startswith(b"{") or not isinstance(content, dict):
        raise _malformed(path, "its header is not a JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _malformed(path, "its metadata is not a table of texts")
    tensors = {name: _tensor(path, name, entry) for name, entry in content.items()}
    if not tensors:
        raise _malformed(path, "it holds no tensor")
    _check_cover(path, tensors, size_bytes - LENGTH_BYTES - len(header))
    return tensors


def _tensor(path: str, name: str, entry: Any) -> Tensor:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _malformed(path, f"tensor {name[:80]!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in _BITS:
        raise _malformed(path, f"tensor {name[:80]!r} has the unknown dtype {str(dtype)[:20]!r}")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != len(("start", "end")):
        raise _malformed(path, f"tensor {name[:80]!r} has an impossible shape or place")
    start, end = offsets
    bits = math.prod(shape) * _BITS[dtype]
    if end < start or bits != (end - start) * 8:
        raise _malformed(path, f"tensor {name[:80]!r} has {end - start} bytes, which its shape and dtype do not fill")
    return Tensor(dtype, tuple(shape), start, end)


def _check_cover(path: str, tensors: dict[str, Tensor], data_bytes: int) -> None:
    at = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != at:
            raise _malformed(path, f"tensor {name[:80]!r} begins at {tensor.start} where {at} was due")
        at = tensor.end
    if at != data_bytes:
        raise _malformed(path, f"its tensors fill {at} bytes of {data_bytes}")


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 1 << 48 for number in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _malformed(path: str, what: str) -> ServiceError:
    return ServiceError("unsafe_file", f"{path} is not a sound safetensors file: {what}.", param=path)
