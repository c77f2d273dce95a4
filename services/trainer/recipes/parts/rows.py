"""Rows of a data set as they lie in JSONL, read into what recipes understand; what is no such row fails here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from libs.contracts.datasets import Shape
from libs.kit.errors import ServiceError

TEXT: Final = "text"
"""The shape of plain text, beside those of `Shape`."""
FEWEST_ROWS: Final = 4
"""Fewer teach nothing but themselves."""

_T = TypeVar("_T")

Message = dict[str, Any]
"""One chat message as clients write it."""

_BODIES: Final = {
    Shape.SFT.value: ("messages",),
    Shape.PREFERENCE.value: ("prompt", "chosen", "rejected"),
    Shape.KTO.value: ("prompt", "completion", "label"),
    TEXT: ("text",),
}
_AROUND: Final = frozenset({"id", "model_version", "time_ms", "rejected_id", "demonstration", "tags"})
"""Columns that say where a row comes from; `demonstration` (true or false) is used, too."""


@dataclass(frozen=True)
class Answer:
    """One answer to one prompt, and whether it was judged good."""

    prompt: list[Message]
    answer: Message
    good: bool = True
    demonstration: bool = False
    """Whether a person wrote it."""


@dataclass(frozen=True)
class Pair:
    """A better and a worse answer to one prompt."""

    prompt: list[Message]
    chosen: Message
    rejected: Message
    demonstration: bool = False


@dataclass(frozen=True)
class Text:
    """Plain text."""

    text: str


Row = Answer | Pair | Text


def read_rows(path: Path, shape: str) -> list[Row]:
    """Every row of the file.

    Raises:
        ServiceError: `bad_dataset`, with the line at fault; `invalid_value`, a shape that cannot be trained on.
    """
    if shape not in _BODIES:
        raise ServiceError(
            "invalid_value",
            f"Nothing can be trained on a data set of shape {shape}. Build one of shape {', '.join(_BODIES)}.",
            param="dataset",
        )
    rows = list(_read(path, shape))
    if len(rows) < FEWEST_ROWS:
        raise _bad(f"{path.name} has {len(rows)} rows; at least {FEWEST_ROWS} are needed.")
    return rows


def answers_in(rows: list[Row]) -> list[Answer]:
    """Every judged answer: both of a pair."""
    found: list[Answer] = []
    for row in rows:
        if isinstance(row, Answer):
            found.append(row)
        elif isinstance(row, Pair):
            found.append(Answer(row.prompt, row.chosen, good=True, demonstration=row.demonstration))
            found.append(Answer(row.prompt, row.rejected, good=False))
    return found


def good_answers_in(rows: list[Row]) -> list[Answer]:
    """The answers worth imitating."""
    return [one for one in answers_in(rows) if one.good]


def require(found: list[_T], what: str) -> list[_T]:
    """The same rows, if they are enough.

    Raises:
        ServiceError: `bad_dataset`.
    """
    if len(found) < FEWEST_ROWS:
        raise _bad(f"The data set has {len(found)} {what}; at least {FEWEST_ROWS} are needed.")
    return found


class _RowError(Exception):
    pass


def _read(path: Path, shape: str) -> Iterator[Row]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError as error:
        raise _bad(f"The data set has no file {path.name}: no such split.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = msgspec.json.decode(line)
            _check_columns(record, shape)
            yield _READERS[shape](record)
        except (msgspec.DecodeError, UnicodeDecodeError, _RowError) as error:
            raise _bad(f"{path.name}, line {number}: {error}") from error


def _check_columns(record: Any, shape: str) -> None:
    wanted = set(_BODIES[shape])
    columns = set(record) if isinstance(record, dict) else set()
    if missing := sorted(wanted - columns):
        raise _RowError(
            f"shape {shape} needs {', '.join(sorted(wanted))}; missing: {', '.join(missing)};"
            f" found: {', '.join(sorted(columns)) or 'no object'}."
        )
    if unknown := sorted(columns - wanted - _AROUND):
        raise _RowError(f"nobody knows the column {', '.join(unknown)}.")


def _sft(record: dict[str, Any]) -> Row:
    messages = _messages(record["messages"], "messages")
    if len(messages) < 2:
        raise _RowError("messages must hold a question and its answer.")
    return Answer(messages[:-1], _assistants(messages[-1:], "messages"), demonstration=_is_demonstration(record))


def _preference(record: dict[str, Any]) -> Row:
    return Pair(
        _messages(record["prompt"], "prompt"),
        _assistants(record["chosen"], "chosen"),
        _assistants(record["rejected"], "rejected"),
        demonstration=_is_demonstration(record),
    )


def _kto(record: dict[str, Any]) -> Row:
    if not isinstance(record["label"], bool):
        raise _RowError("label must be true or false.")
    return Answer(
        _messages(record["prompt"], "prompt"),
        _assistants(record["completion"], "completion"),
        good=record["label"],
        demonstration=_is_demonstration(record),
    )


def _text(record: dict[str, Any]) -> Row:
    if not isinstance(record["text"], str) or not record["text"]:
        raise _RowError("text must be a text that is not empty.")
    return Text(record["text"])


def _is_demonstration(record: dict[str, Any]) -> bool:
    return record.get("demonstration") is True


def _messages(value: Any, name: str) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise _RowError(f"{name} must be a list of messages that is not empty.")
    return [_message(one, name) for one in value]


def _message(value: Any, name: str) -> Message:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise _RowError(f"{name} must hold messages with a role.")
    content = value.get("content")
    if isinstance(content, list):
        # Templates of most bases know text only, and parts of text are what a client may write instead.
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise _RowError(f"{name} holds a message with parts that are not text.")
        return {**value, "content": "".join(str(part) for part in parts)}
    if not isinstance(content, str) and not (content is None and value.get("tool_calls")):
        raise _RowError(f"{name} holds a message without content.")
    return value


def _assistants(value: Any, name: str) -> Message:
    """The one answer."""
    messages = _messages(value, name)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise _RowError(f"{name} must end in one message of the assistant.")
    return messages[0]


def _bad(message: str) -> ServiceError:
    return ServiceError("bad_dataset", message, param="dataset")


_READERS: Final[dict[str, Callable[[dict[str, Any]], Row]]] = {
    Shape.SFT.value: _sft,
    Shape.PREFERENCE.value: _preference,
    Shape.KTO.value: _kto,
    TEXT: _text,
}
