"""Reading JSON that others wrote: whatever is not what was expected counts as missing."""

from typing import Any


def text(value: Any) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; anything else in it is left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def index(value: Any) -> int:
    """The number, or 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def tool_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    """One call of a tool, as in a chat message."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def message(content: str, calls: list[dict[str, Any]], reasoning: str = "", refusal: str = "") -> dict[str, Any]:
    """An assistant's chat message; content is None where it only calls tools."""
    found: dict[str, Any] = {"role": "assistant", "content": content if content or not calls else None}
    if calls:
        found["tool_calls"] = calls
    if reasoning:
        found["reasoning"] = reasoning
    if refusal:
        found["refusal"] = refusal
    return found
