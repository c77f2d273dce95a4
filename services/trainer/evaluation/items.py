"""Reads the questions of a task: JSONL files as the feedback service builds them for evaluation, and lm-eval tasks."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from libs.contracts.evaluation import Measure
from libs.kit.errors import ServiceError

YAML_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_ID_HEX: Final = 16
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question, what would answer it, and where it belongs."""

    id: str
    messages: tuple[dict[str, Any], ...]
    references: tuple[str, ...] = ()
    """Each would be right."""
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """What a classifier may say; empty: the references of the whole task."""
    cluster: str = ""
    """Items that go wrong together; empty: this one alone."""

    @property
    def question(self) -> str:
        """What was asked last, for people."""
        return content_text(self.messages[-1].get("content"))


@dataclass(frozen=True)
class TaskItems:
    """What a task file holds; an lm-eval task says more than its rows."""

    items: tuple[Item, ...]
    measures: tuple[Measure, ...] = ()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What was read otherwise than it was written, for the log."""


class _Row(msgspec.Struct, kw_only=True):
    messages: list[dict[str, Any]]
    id: str | int = ""
    reference: str | None = None
    references: list[str] = []
    tags: list[str] = []
    labels: list[str] = []
    cluster: str = ""


_decode: Final = msgspec.json.Decoder(_Row).decode


def read_items(path: Path) -> TaskItems:
    """The items of a file.

    Raises:
        ServiceError: `bad_dataset`, it is not a task file; the message names the line.
    """
    if path.suffix in YAML_SUFFIXES:
        # lm_eval needs this module's types.
        from services.trainer.evaluation.lm_eval import read_task  # noqa: PLC0415

        return read_task(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ServiceError("bad_dataset", f"The task file {path.name} cannot be read: {error.strerror}.") from error
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    return checked((_item(line, f"{path.name}, line {number}") for number, line in rows), path.name)


def checked(items: Iterable[Item], source: str) -> TaskItems:
    """The items with equal ones counted once.

    Raises:
        ServiceError: `bad_dataset`, there are none, or two different ones have the same id.
    """
    found: dict[str, Item] = {}
    repeated = 0
    for item in items:
        if found.setdefault(item.id, item) is not item:
            repeated += 1
            if found[item.id] != item:
                raise ServiceError("bad_dataset", f"{source}: two different items have the id {item.id[:80]!r}.")
    if not found:
        raise ServiceError("bad_dataset", f"{source} has no items; an evaluation needs at least one question.")
    notes = (f"{source}: {repeated} items were there more than once and count once",) if repeated else ()
    return TaskItems(tuple(found.values()), notes=notes)


def sample(items: Sequence[Item], limit: int) -> tuple[Item, ...]:
    """At most `limit` items, in their order; which ones depends on their ids alone. 0 takes all."""
    if not 0 < limit < len(items):
        return tuple(items)
    chosen = {item.id for item in sorted(items, key=lambda item: digest(item.id))[:limit]}
    return tuple(item for item in items if item.id in chosen)


def digest(*parts: str) -> str:
    """A stable hash of some words, in hex."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()


def make_item(messages: Sequence[dict[str, Any]], references: Sequence[str], **more: Any) -> Item:
    """An item; without an id it is named by its content."""
    if not more.get("id"):
        more["id"] = hashlib.sha256(_encode([messages, references])).hexdigest()[:_ID_HEX]
    return Item(messages=tuple(messages), references=tuple(references), **more)


def content_text(content: Any) -> str:
    """The words of a message's content, whether text or parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _item(line: bytes, where: str) -> Item:
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServiceError("bad_dataset", f"{where} is not an evaluation row: {error}.") from error
    if not row.messages or any(not isinstance(message.get("role"), str) for message in row.messages):
        raise ServiceError("bad_dataset", f"{where}: `messages` must be a list of messages with a role.")
    if row.messages[-1]["role"] == "assistant":
        raise ServiceError(
            "bad_dataset", f"{where} ends in an answer; the answer belongs into `reference`, the question comes last."
        )
    single = [] if row.reference is None else [row.reference]
    return make_item(
        row.messages,
        list(dict.fromkeys([*single, *row.references])),
        id=str(row.id),
        tags=tuple(dict.fromkeys(tag for tag in row.tags if tag)),
        labels=tuple(dict.fromkeys(row.labels)),
        cluster=row.cluster,
    )
