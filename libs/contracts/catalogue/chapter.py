"""What the catalogue knows of one owner's messages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from libs.contracts.topology import Stream

Operations = Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]
"""What each call takes and gives."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One kind of message: where it is said, what it is, by whom and to whom."""

    subject: str
    message: type | None
    """None where the payload is not ours to type: a client's body, a frame, the server's own news."""
    payload: str = ""
    """What the payload is, where `message` is None."""
    said_by: tuple[str, ...]
    heard_by: tuple[str, ...]
    stream: Stream | None = None


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """Everything that one owner has put into the contracts."""

    owner: str
    entries: tuple[Entry, ...]
    structs: tuple[type[msgspec.Struct], ...]
    """Types whose fields are shown, in this order; those of the calls are among them."""
    operations: Operations = field(default_factory=dict)


def calls_of(owner: str, subject: Callable[[str], str], *, said_by: tuple[str, ...]) -> Entry:
    """The entry of all calls that `owner` answers."""
    return Entry(
        subject=subject("<operation>"),
        message=None,
        payload=f"the operation's request; answered with a Reply (see {owner.capitalize()} operations)",
        said_by=said_by,
        heard_by=(owner,),
    )


def structs_of(operations: Operations) -> tuple[type[msgspec.Struct], ...]:
    """Every type that these calls take or give."""
    return tuple(struct for pair in operations.values() for struct in pair)
