"""The smallest value of a message type: what is required, and nothing else."""

from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect as look


def smallest(kind: Any) -> Any:
    """One value of `kind`, as JSON has it, read back in its type."""
    return msgspec.convert(_of(look.type_info(kind)), kind)


def _of(info: look.Type) -> Any:  # noqa: C901, PLR0911 - one line per kind of type
    match info:
        case look.StructType():
            return {field.encode_name: _of(field.type) for field in info.fields if field.required}
        case look.EnumType():
            first: Enum = next(iter(info.cls))
            return first.value
        case look.LiteralType():
            return info.values[0]
        case look.UnionType():
            return _of(info.types[0])
        case look.StrType():
            return "a" * (info.min_length or 1)
        case look.IntType():
            return max(info.ge or 0, 0)
        case look.FloatType():
            return 0.5
        case look.BoolType():
            return False
        case look.DictType():
            return {}
        case look.ListType() | look.VarTupleType() | look.SetType() | look.FrozenSetType():
            return []
        case look.TupleType():
            return [_of(one) for one in info.item_types]
        case _:
            return None
