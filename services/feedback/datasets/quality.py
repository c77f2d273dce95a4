"""Sixth step: rows that teach nothing, or something broken."""

import json
from typing import Final

import msgspec

from libs.contracts.datasets import Selection
from services.feedback.datasets.rows import Example, Label, Message

_MOST_REPLACED: Final = 0.01
_LAST_ROLES: Final = ("user", "tool", "function")
_FIELDS: Final[dict[str, type]] = {"tool_calls": list, "tool_call_id": str, "name": str}
"""What is kept of a message beside role and content."""
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def text_of(message: Message) -> str:
    """The message's text."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def plain(message: object) -> Message | None:
    """A message with its content as one text; None if it is no message or shows more than text."""
    if not isinstance(message, dict) or str(message.get("role")) not in _ROLES:
        return None
    if any(not isinstance(message.get(name) or kind(), kind) for name, kind in _FIELDS.items()):
        return None
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            return None
        content = "".join(part for part in parts if isinstance(part, str))
    if content is not None and not isinstance(content, str):
        return None
    kept = {name: message[name] for name in _FIELDS if message.get(name)}
    return {"role": message["role"], "content": content or "", **kept}


def flaw(example: Example, selection: Selection, *, truncated: bool) -> str:
    """Why the row is put aside; empty if it is sound."""
    completion = example.completion
    text = text_of(completion)
    calls = completion.get("tool_calls") or []
    missing = _missing(example, text, calls)
    if missing:
        return missing
    if truncated and example.label is not Label.DEMONSTRATION:
        return "truncated"
    if len(text) < selection.min_answer_chars and not calls:
        return "too_short"
    if len(text) > selection.max_answer_chars:
        return "too_long"
    is_broken = not all(map(_is_call, calls)) or text.count("\ufffd") > _MOST_REPLACED * len(text)
    return "broken" if is_broken else ""


def _missing(example: Example, text: str, calls: object) -> str:
    if not example.prompt or example.prompt[-1]["role"] not in _LAST_ROLES:
        return "no_question"
    return "" if text or calls else "empty"


def _is_call(call: object) -> bool:
    """Whether a tool call names a function and its arguments are JSON."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not function.get("name"):
        return False
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return False
    try:
        return isinstance(msgspec.json.decode(arguments or "{}"), dict)
    except (msgspec.DecodeError, json.JSONDecodeError, UnicodeError):
        return False
