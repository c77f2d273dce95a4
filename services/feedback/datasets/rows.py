"""What flows through the steps: an interaction with its judgements, and the example that is made of it."""

from enum import StrEnum
from typing import Any

import msgspec

from libs.contracts.feedback import SignalKind, Source

Message = dict[str, Any]
"""One chat message as clients write it."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One signal as it is stored."""

    id: str
    kind: SignalKind
    value: bool | float | str
    time_ms: int
    recorded_ms: int
    rater: str = ""
    source: Source = Source.EXPLICIT
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    supersedes: str = ""
    """A signal recorded before it, which does not count any more."""
    superseded_by: str = ""
    """A signal recorded before it and given later, because of which it never counted."""
    of_episode: bool = False
    """Whether it judges the whole episode, and so each of its interactions."""


class JoinedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One interaction and every signal about it, superseded ones too."""

    request_id: str
    tenant: str
    time_ms: int
    model_version: str = ""
    episode_id: str = ""
    outcome: str = "ok"
    messages: Any = None
    """What was asked; None where no content is kept."""
    answer: Any = None
    """The assistant's message."""
    truncated: bool = False
    """Whether the answer ends where a limit cut it."""
    erased: bool = False
    signals: tuple[Judgement, ...] = ()

    @property
    def unit(self) -> str:
        """What is never divided between splits."""
        return self.episode_id or self.request_id


class Label(StrEnum):
    """What the judgements of an interaction amount to."""

    UP = "up"
    DOWN = "down"
    DEMONSTRATION = "demonstration"
    NONE = "none"
    """Not judged; only raw data sets hold such rows."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One interaction on its way into a data set."""

    id: str
    """The interaction's request id."""
    unit: str
    time_ms: int
    model_version: str
    prompt: list[Message]
    answer: Message | None
    label: Label
    better: str = ""
    """The demonstration, if that is the label."""
    raters: tuple[str, ...] = ()
    """Whose judgements decided the label."""
    signals: tuple[Judgement, ...] = ()
    """For raw data sets."""

    @property
    def completion(self) -> Message:
        """The answer that the label is about."""
        if self.label is Label.DEMONSTRATION:
            return {"role": "assistant", "content": self.better}
        return self.answer or {"role": "assistant", "content": ""}
