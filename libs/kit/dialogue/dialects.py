"""The four dialects' requests and whole answers, as chat messages."""

from typing import Any

import msgspec

from libs.kit.dialogue.assemblies import (
    AnthropicAssembly,
    Assembly,
    ChatAssembly,
    CompletionAssembly,
    ResponsesAssembly,
)
from libs.kit.dialogue.shapes import mapping, mappings, message, text, tool_call

__all__ = [
    "AnthropicAssembly",
    "Assembly",
    "ChatAssembly",
    "CompletionAssembly",
    "ResponsesAssembly",
    "anthropic_asked",
    "anthropic_document",
    "chat_asked",
    "chat_document",
    "completion_asked",
    "completion_document",
    "responses_asked",
    "responses_document",
]

Body = dict[str, Any]
Messages = list[Any] | None


def chat_asked(body: Body) -> Messages:
    """As the client sent them."""
    return mappings(body.get("messages")) or None


def chat_document(document: Body) -> Body | None:
    """The first choice."""
    choices = mappings(document.get("choices"))
    if not choices:
        return None
    said = mapping(choices[0].get("message"))
    calls = [
        tool_call(text(call.get("id")), text(function.get("name")), text(function.get("arguments")))
        for call in mappings(said.get("tool_calls"))
        for function in (mapping(call.get("function")),)
    ]
    reasoning = text(said.get("reasoning")) or text(said.get("reasoning_content"))
    return message(text(said.get("content")), calls, reasoning, text(said.get("refusal")))


def completion_asked(body: Body) -> Messages:
    """The prompt as a user's message; of several, the first. Token numbers are no text."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and prompt:
        prompt = prompt[0]
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else None


def completion_document(document: Body) -> Body | None:
    """The first choice."""
    choices = mappings(document.get("choices"))
    return message(text(choices[0].get("text")), []) if choices else None


def responses_asked(body: Body) -> Messages:
    """Instructions, then the input: one text, or items."""
    found: list[Any] = []
    if text(body.get("instructions")):
        found.append({"role": "system", "content": body["instructions"]})
    given = body.get("input")
    if isinstance(given, str):
        found.append({"role": "user", "content": given})
    for item in mappings(given):
        found.extend(_responses_item(item))
    return found or None


def _responses_item(item: Body) -> list[Body]:
    kind = item.get("type", "message")
    if kind == "function_call":
        call = tool_call(text(item.get("call_id")), text(item.get("name")), text(item.get("arguments")))
        return [message("", [call])]
    if kind == "function_call_output":
        output = item.get("output")
        said = output if isinstance(output, str) else msgspec.json.encode(output).decode()
        return [{"role": "tool", "tool_call_id": text(item.get("call_id")), "content": said}]
    if kind != "message":
        return []
    content: Any = item.get("content")
    if isinstance(content, list):
        parts = mappings(content)
        if all(text(part.get("type")) in ("input_text", "output_text", "text") for part in parts):
            content = "".join(text(part.get("text")) for part in parts)
    return [{"role": text(item.get("role")) or "user", "content": content}]


def responses_document(document: Body) -> Body | None:
    """All output items together: texts, calls, reasoning."""
    output = mappings(document.get("output"))
    if not output:
        return None
    calls = [
        tool_call(text(item.get("call_id")), text(item.get("name")), text(item.get("arguments")))
        for item in output
        if item.get("type") == "function_call"
    ]
    parts = [part for item in output if item.get("type") == "message" for part in mappings(item.get("content"))]
    thoughts = [part for item in output if item.get("type") == "reasoning" for part in mappings(item.get("content"))]
    return message(
        "".join(text(part.get("text")) for part in parts),
        calls,
        "".join(text(part.get("text")) for part in thoughts),
        "".join(text(part.get("refusal")) for part in parts),
    )


def anthropic_asked(body: Body) -> Messages:
    """The system prompt, then the turns; blocks of text become text, tool blocks become calls and results."""
    found: list[Any] = []
    system = body.get("system")
    prompt = system if isinstance(system, str) else _joined(mappings(system))
    if prompt:
        found.append({"role": "system", "content": prompt})
    for turn in mappings(body.get("messages")):
        found.extend(_anthropic_turn(turn))
    return found or None


def _anthropic_turn(turn: Body) -> list[Body]:
    role = text(turn.get("role")) or "user"
    if not isinstance(turn.get("content"), list):
        return [{"role": role, "content": text(turn.get("content"))}]
    blocks = mappings(turn["content"])
    if role == "assistant":
        return [_anthropic_message(blocks)]
    found: list[Body] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            result = block.get("content")
            said = result if isinstance(result, str) else _joined(mappings(result))
            found.append({"role": "tool", "tool_call_id": text(block.get("tool_use_id")), "content": said})
    if said := _joined(blocks):
        found.append({"role": role, "content": said})
    return found


def anthropic_document(document: Body) -> Body | None:
    """All blocks together."""
    return _anthropic_message(mappings(document.get("content"))) if isinstance(document.get("content"), list) else None


def _anthropic_message(blocks: list[Body]) -> Body:
    calls = [
        tool_call(text(one.get("id")), text(one.get("name")), msgspec.json.encode(one.get("input") or {}).decode())
        for one in blocks
        if one.get("type") == "tool_use"
    ]
    thoughts = "".join(text(one.get("thinking")) for one in blocks if one.get("type") == "thinking")
    return message(_joined(blocks), calls, thoughts)


def _joined(blocks: list[Body]) -> str:
    return "".join(text(one.get("text")) for one in blocks if one.get("type", "text") == "text")
