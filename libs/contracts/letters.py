"""Dead letters: messages that a service could not take in, kept apart with the reason, to be taken in later or dropped.

Each service that takes messages from streams answers `OPERATIONS` at `subjects.service_call(<service>, <operation>)`; a
gateway answers `DESK_OPERATIONS` out of what all of them say. Those of `STREAMED` keep them in streams of their own,
`DLQ_…`; feedback keeps its own in its database.
"""

from typing import Final

import msgspec

SERVICES: Final = ("audit", "events", "feedback", "rollout")
"""Who has dead letters, in order of the names."""
STREAMED: Final = ("audit", "events", "rollout")
"""Who keeps them in a stream."""
DEAD_HEADER: Final = "Llmos-Dead"


class Death(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is kept beside a message that could not be taken in; one header of the dead letter, as JSON."""

    consumer: str
    """Durable consumer that it came through."""
    stream: str
    subject: str
    reason: str
    time_ms: int
    reply: str
    """Where it was to be acknowledged: tells its number in the stream, when it was stored and how often it came."""
    headers: str = ""
    """Its own, in Base64."""


class Letter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A dead letter; never its words."""

    id: str
    """`<service>-<place>`."""
    service: str
    consumer: str
    stream: str
    subject: str
    message_id: str
    """By which its stream, and who takes it in, knows it; empty if it bore none."""
    reason: str
    time_ms: int
    """When it was given up."""
    stored_ms: int
    """When it was stored first; 0 where that is not known."""
    size_bytes: int
    digest: str
    """SHA-256 of its payload, in hexadecimal digits."""
    waits: bool = False
    """Of one that was replayed: what it refers to has not come; if it does not, it becomes a dead letter again."""


class FindLetters(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask one service for its dead letters, oldest first."""

    after: int = 0
    limit: int = 100


class LetterPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Dead letters of one service, oldest first."""

    letters: tuple[Letter, ...]
    next: int = 0


class LetterPlace(msgspec.Struct, frozen=True):
    """One dead letter of a service."""

    place: int
    author: str = ""


class LetterText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter and what it says."""

    letter: Letter
    payload: str
    """What is no UTF-8 in it is replaced."""


class FindAllLetters(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Ask for dead letters, service by service, oldest first."""

    service: str = ""
    after: str = ""
    """`next` of the page before."""
    limit: int = 100


class AllLetters(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Dead letters, and which services could not be asked."""

    letters: tuple[Letter, ...]
    away: tuple[str, ...] = ()
    next: str = ""


class LetterRef(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One dead letter."""

    id: str
    author: str


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "letter_list": (FindLetters, LetterPage),
    "letter_show": (LetterPlace, Letter),
    "letter_read": (LetterPlace, LetterText),
    "letter_replay": (LetterPlace, Letter),
    "letter_drop": (LetterPlace, Letter),
}
DESK_OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "letter_list": (FindAllLetters, AllLetters),
    "letter_show": (LetterRef, Letter),
    "letter_read": (LetterRef, LetterText),
    "letter_replay": (LetterRef, Letter),
    "letter_drop": (LetterRef, Letter),
}
