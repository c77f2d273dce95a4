"""What every call over the bus is answered with."""

import msgspec


class Empty(msgspec.Struct, frozen=True):
    """Nothing to say."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why not."""

    code: str
    """A code of `libs.contracts.errors`."""
    message: str
    param: str = ""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every answer to a call: a result or a fault."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Fault | None = None
