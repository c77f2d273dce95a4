"""Messages of feedback: what was said and answered, and how it was judged.

An *interaction* is one request and its answer. A *signal* is one judgement of an interaction or of an episode; it is
never changed: a changed mind is a later signal of the same rater, which supersedes. Calls go to
`subjects.feedback_call(<operation>)` as core requests and are answered with `libs.contracts.calls.Reply`.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from libs.contracts import datasets
from libs.contracts.inference import RequestCompleted

MAX_COMMENT_BYTES: Final = 1_000_000
"""Of a text as JSON: it must fit into one message of the bus (1 MiB) beside everything else."""
MAX_TAGS: Final = 16
MAX_TAG_LENGTH: Final = 64
MAX_RATER_LENGTH: Final = 128
FUTURE_SLACK_MS: Final = 300_000
"""How far ahead of the service's clock a signal's own time may be."""


class SignalKind(StrEnum):
    """What a signal says, and what its value must be."""

    THUMB = "thumb"
    """`true` (up) or `false` (down)."""
    SCORE = "score"
    """A number from 0 to 1."""
    COMMENT = "comment"
    """Text."""
    DEMONSTRATION = "demonstration"
    """The better answer, as text."""


class Source(StrEnum):
    """How a signal came to be; implicit ones weigh little."""

    EXPLICIT = "explicit"
    REGENERATED = "regenerated"
    EDITED = "edited"
    COPIED = "copied"
    ABANDONED = "abandoned"
    IMPORTED = "imported"


class ContentPolicy(StrEnum):
    """What is kept of requests and answers."""

    OFF = "off"
    """No rows at all."""
    METADATA = "metadata"
    """Who, when, which version, how many tokens; no text."""
    REDACTED = "redacted"
    """Text with personal data replaced."""
    FULL = "full"


class Captured(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The content of one finished request; said beside `RequestCompleted`, and only where the policy keeps text."""

    id: str
    """Event id."""
    completed: RequestCompleted
    request: msgspec.Raw
    """The client's body."""
    response: str = ""
    """The answer's bytes as sent: JSON, or the whole event stream."""
    truncated: bool = False
    """Whether the answer was longer than the gateway keeps."""


class RecordSignal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Record one judgement; `id` decides whether it is a repeat."""

    id: str
    """`sig_<24 hex>`: from the tenant and the client's idempotency key, or fresh."""
    tenant: str
    kind: SignalKind
    value: bool | float | str
    time_ms: int
    """When it was given."""
    inference_id: str = ""
    """As the client got it, for example `chatcmpl-…`; or else:"""
    episode_id: str = ""
    rater: str = ""
    """Who judged; the key's id if the client names nobody."""
    source: Source = Source.EXPLICIT
    tags: tuple[str, ...] = ()
    key_id: str = ""
    """The API key that brought it."""


class Signal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One recorded judgement."""

    id: str
    tenant: str
    kind: SignalKind
    value: bool | float | str
    time_ms: int
    recorded_ms: int
    """0: it waits for its interaction, which has not been seen yet."""
    request_id: str = ""
    episode_id: str = ""
    model_version: str = ""
    rater: str = ""
    source: Source = Source.EXPLICIT
    weight: float = 1.0
    tags: tuple[str, ...] = ()
    supersedes: str = ""
    """The same rater's earlier signal of the same kind on the same target. Implicit signals supersede only those of
    their own source."""
    superseded_by: str = ""
    """The later one, where it is known: a signal that comes late is recorded and does not count."""


class SignalRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement is in the database; said once per signal, from the outbox.

    The text of a comment or demonstration is not said: the event log outlives an erasure.
    """

    id: str
    time_ms: int
    signal: Signal


class SignalRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement could not be recorded; it lies in the dead letters."""

    id: str
    time_ms: int
    signal_id: str
    tenant: str
    code: str
    """A code of `libs.contracts.errors`."""
    reason: str


class Interaction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One request and its answer, as lists show it."""

    request_id: str
    inference_id: str
    tenant: str
    time_ms: int
    model: str
    model_version: str
    outcome: str
    route: str = ""
    episode_id: str = ""
    user: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_byte_ms: int = 0
    total_ms: int = 0
    messages: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    """What was asked: a list of chat messages, or null where no content is kept."""
    answer: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    """What was answered: an assistant message (text, tool calls), or null."""
    erased: bool = False
    signals: tuple[Signal, ...] = ()
    partial: bool = False
    """It is larger than a message: older signals are left out, and if need be the text."""


class ListInteractions(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Newest first."""

    tenant: str = ""
    """Empty: of all tenants (operators only)."""
    model_version: str = ""
    since_ms: int = 0
    until_ms: int = 0
    judged: bool = False
    """Only those with a signal."""
    before: str = ""
    limit: int = 100


class InteractionPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    interactions: tuple[Interaction, ...]
    next: str = ""


class ShowInteraction(msgspec.Struct, frozen=True, omit_defaults=True):
    """By request id or by the client's inference id."""

    id: str
    tenant: str = ""


class StatisticsQuery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Counts of current signals (superseded ones are left out)."""

    by: tuple[Literal["model_version", "tag", "tenant", "day"], ...] = ("model_version",)
    tenant: str = ""
    model_version: str = ""
    since_ms: int = 0
    until_ms: int = 0


class StatisticsRow(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One group. Approval is that of explicit thumbs, its interval Wilson's at 95 % (doi:10.2307/2276774)."""

    group: dict[str, str]
    interactions: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    scores: int = 0
    score_mean: float | None = None
    comments: int = 0
    demonstrations: int = 0
    implicit: int = 0
    approval: float | None = None
    approval_low: float | None = None
    approval_high: float | None = None


class Statistics(msgspec.Struct, frozen=True):
    """Groups, sorted by their names."""

    rows: tuple[StatisticsRow, ...]


class StatisticsUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """How one version is judged by now: the whole row, so that the last one heard is enough.

    Its group is `model_version` for all judgements of the version, and `model_version` and `tag` for those with a tag.
    It is said while the counts change, each row at most once in some seconds.
    """

    id: str
    time_ms: int
    row: StatisticsRow


class Erase(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Remove the content of one interaction, or of everything of one data subject (the request's `user`)."""

    tenant: str
    request_id: str = ""
    user: str = ""
    author: str = ""


class Erasure(msgspec.Struct, frozen=True):
    """What was removed, and which published versions still contain it."""

    id: str
    interactions: int
    signals: int
    datasets: tuple[str, ...]
    """References of data set versions built from an erased row."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be taken in, and why."""

    id: str
    time_ms: int
    code: str
    reason: str
    payload: str


class ListDeadLetters(msgspec.Struct, frozen=True, omit_defaults=True):
    """Newest first."""

    limit: int = 100
    before: str = ""


class DeadLetterPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a list."""

    letters: tuple[DeadLetter, ...]
    next: str = ""


class ShowOrigin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask what a data set was built from."""

    reference: str
    """`<name>@sha256:<at least 12 hex>`."""
    limit: int = 20
    """Most judgements that are listed."""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class DatasetOrigin(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a data set was built from; all zero for one that was not built here."""

    reference: str
    job: datasets.DatasetJob | None = None
    """The build that published it."""
    interactions: int = 0
    signals: int = 0
    """Judgements of them that held when it was built, and that its selection let decide."""
    shown: tuple[Signal, ...] = ()
    """The oldest of these."""


class ShowReach(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask where a judgement went."""

    id: str
    """Of the signal."""
    tenant: str = ""
    """Keeps those of others out of sight; empty: everybody's."""


class SignalReach(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A judgement, and the published data sets in which it held."""

    signal: Signal
    interactions: int = 0
    """That it is about: those of its episode, else one."""
    datasets: tuple[str, ...] = ()
    """References, oldest first."""


OPERATIONS: Final[dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]] = {
    "signal_record": (RecordSignal, Signal),
    "interaction_list": (ListInteractions, InteractionPage),
    "interaction_show": (ShowInteraction, Interaction),
    "statistics": (StatisticsQuery, Statistics),
    "dataset_origin": (ShowOrigin, DatasetOrigin),
    "signal_reach": (ShowReach, SignalReach),
    "erase": (Erase, Erasure),
    "dead_letter_list": (ListDeadLetters, DeadLetterPage),
    **datasets.OPERATIONS,
}
