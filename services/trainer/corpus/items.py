"""The shapes that the corpus is made of: turns, graded questions and their groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who speaks in a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Group(StrEnum):
    """The kinds of question that are graded apart from one another."""

    FACTS = "facts"
    SHOP = "shop questions"
    UNKNOWN = "unknown products"
    TALK = "small talk"
    BEYOND = "beyond the shop"
    FOLLOW_UP = "follow-ups"
    QUOTED = "quoted prices"


@dataclass(frozen=True)
class Turn:
    """One message of a dialogue."""

    role: Role
    text: str


@dataclass(frozen=True)
class Item:
    """A graded question: the dialogue up to and with the question, and every core sentence that answers it."""

    group: Group
    label: str
    turns: tuple[Turn, ...]
    wanted: frozenset[str]


def messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """The dialogue as chat templates and the API take it."""
    return [{"role": turn.role.value, "content": turn.text} for turn in turns]
