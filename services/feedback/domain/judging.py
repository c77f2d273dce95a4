"""What a batch of signals changes, given what is known; pure, so that it can be decided again after a collision."""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from libs.contracts.feedback import RecordSignal, Signal, SignalKind
from libs.kit import signals

Id = tuple[str, str]
"""Tenant and signal id."""
Target = tuple[str, str]
"""Tenant, and `i:<request id>` or `e:<episode id>`."""
Key = tuple[str, str, str, str, str]
"""Tenant, target, kind, origin, rater: of all signals with one key, one stands."""


class Case(NamedTuple):
    """A command, and all that is asked about it again and again."""

    command: RecordSignal
    ident: Id
    target: Target
    key: Key
    digest: bytes
    """What a repeat must share."""


class Seen(NamedTuple):
    """What a signal is about."""

    model_version: str
    erased: bool = False
    answer: str = ""
    """The text that was answered, where it is kept."""


class Handled(NamedTuple):
    """What became of an earlier signal with the same id."""

    digest: bytes
    signal_id: str
    code: str = ""
    reason: str = ""


class Standing(NamedTuple):
    """The signal that counts."""

    signal_id: str
    time_ms: int
    value_digest: bytes


class Refusal(NamedTuple):
    """Why a signal is not recorded."""

    code: str
    reason: str
    is_news: bool
    """False for a repeat of something that was refused before."""


class Recorded(NamedTuple):
    """A new signal and the command that brought it."""

    signal: Signal
    command: RecordSignal


@dataclass
class Known:
    """What the database says about a batch; `judge` keeps it up to date."""

    targets: dict[Target, Seen] = field(default_factory=dict)
    handled: dict[Id, Handled] = field(default_factory=dict)
    waiting: dict[Id, bytes] = field(default_factory=dict)
    standing: dict[Key, Standing] = field(default_factory=dict)


@dataclass
class Ruling:
    """What is to be written, and what each command is to be told, in their order."""

    recorded: list[Recorded] = field(default_factory=list)
    handled: dict[Id, Handled] = field(default_factory=dict)
    waiting: dict[Id, Case] = field(default_factory=dict)
    stands: dict[Key, Standing] = field(default_factory=dict)
    stood: dict[Key, str] = field(default_factory=dict)
    """The signal that each key of `stands` had before; none for a new one."""
    answers: "list[str | Refusal]" = field(default_factory=list)
    """Id of the signal that stands for the command, empty while it waits; or a refusal."""


def case_of(command: RecordSignal) -> Case:
    """What is to be judged; `command` has passed `libs.kit.signals.checked`."""
    tenant, target = command.tenant, signals.target_of(command)
    key = (tenant, target, command.kind, signals.origin_of(command.source), command.rater)
    return Case(command, (tenant, command.id), (tenant, target), key, signals.digest_of(command))


def judge(cases: Iterable[Case], known: Known, *, now_ms: int) -> Ruling:
    """Decide on each case in turn."""
    ruling = Ruling()
    for case in cases:
        ruling.answers.append(_judge(case, known, ruling, now_ms))
    return ruling


def _judge(case: Case, known: Known, ruling: Ruling, now_ms: int) -> str | Refusal:
    ident, digest = case.ident, case.digest
    handled = known.handled.get(ident)
    if (handled.digest if handled else known.waiting.get(ident, digest)) != digest:
        return Refusal("idempotency_conflict", "The same id came before with another judgement.", is_news=True)
    if handled is not None:
        return Refusal(handled.code, handled.reason, is_news=False) if handled.code else handled.signal_id
    if ident in known.waiting:
        return ""
    seen = known.targets.get(case.target)
    if seen is None:
        known.waiting[ident] = digest
        ruling.waiting[ident] = case
        return ""
    refusal = _objection(case.command, seen)
    if refusal is not None:
        handled = Handled(digest, "", refusal.code, refusal.reason)
    else:
        handled = Handled(digest, _place(case, seen, known, ruling, now_ms))
    known.handled[ident] = ruling.handled[ident] = handled
    return refusal or handled.signal_id


def _objection(command: RecordSignal, seen: Seen) -> Refusal | None:
    if not isinstance(command.value, str):
        return None
    if seen.erased:
        return Refusal("conflict", "The interaction's content was erased; no more text is kept of it.", is_news=True)
    if command.kind is SignalKind.DEMONSTRATION and seen.answer and command.value.strip() == seen.answer.strip():
        return Refusal("invalid_value", "The demonstration is the answer that was given.", is_news=True)
    return None


def _place(case: Case, seen: Seen, known: Known, ruling: Ruling, now_ms: int) -> str:
    """Record it, unless the rater has said the same already; the id of the signal that says it."""
    command, key = case.command, case.key
    value = _digest_of_text(command.value) if isinstance(command.value, str) else _digest_of_number(command.value)
    current = known.standing.get(key)
    is_late = current is not None and command.time_ms < current.time_ms
    says_the_same = current is not None and current.value_digest == value
    if current is None or (not is_late and not says_the_same):
        stands = Standing(command.id, command.time_ms, value)
    else:
        # What is said again holds from then on: a different judgement from before that time comes too late.
        stands = current._replace(time_ms=max(current.time_ms, command.time_ms))
    if stands != current:
        if current is not None and key not in ruling.stood and key not in ruling.stands:
            ruling.stood[key] = current.signal_id
        known.standing[key] = ruling.stands[key] = stands
    if current is not None and says_the_same:
        return current.signal_id
    before = current.signal_id if current is not None else ""
    supersedes, superseded_by = ("", before) if is_late else (before, "")
    ruling.recorded.append(Recorded(_signal(case, seen, now_ms, supersedes, superseded_by), command))
    return command.id


def _signal(case: Case, seen: Seen, now_ms: int, supersedes: str, superseded_by: str) -> Signal:
    command, target = case.command, case.target[1]
    return Signal(
        id=command.id,
        tenant=command.tenant,
        kind=command.kind,
        value=command.value,
        time_ms=command.time_ms,
        recorded_ms=now_ms,
        request_id=target[2:] if target.startswith("i:") else "",
        episode_id=command.episode_id,
        model_version=seen.model_version,
        rater=command.rater,
        source=command.source,
        weight=signals.WEIGHTS[command.source],
        tags=command.tags,
        supersedes=supersedes,
        superseded_by=superseded_by,
    )


def _digest_of_text(value: str | float) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=signals.DIGEST_BYTES).digest()


_digest_of_number = functools.lru_cache(maxsize=1_024, typed=True)(_digest_of_text)
"""`True` and 1.0 are the same to a dictionary; they are different judgements."""
