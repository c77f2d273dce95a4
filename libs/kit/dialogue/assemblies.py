"""One answer put together from its events, in each dialect."""

from abc import ABC, abstractmethod
from typing import Any

from libs.kit.dialogue.shapes import index, mapping, mappings, message, text, tool_call


class _Call:
    """A call of a tool that is still being written."""

    def __init__(self, id_: str = "", name: str = "") -> None:
        self.id, self.name = id_, name
        self.arguments: list[str] = []

    def finished(self) -> dict[str, Any]:
        return tool_call(self.id, self.name, "".join(self.arguments))


class Assembly(ABC):
    """Takes the events of one answer in order."""

    def __init__(self) -> None:
        self.done = False
        """Whether the end has come."""
        self._any = False
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Call] = {}

    @abstractmethod
    def add(self, event: dict[str, Any]) -> None:
        """Take the next event; what is not understood is passed over."""

    def message(self) -> dict[str, Any] | None:
        """What has come so far; None if nothing has."""
        if not self._any:
            return None
        calls = [call.finished() for _, call in sorted(self._calls.items())]
        return message("".join(self._content), calls, "".join(self._reasoning), "".join(self._refusal))


class ChatAssembly(Assembly):
    """OpenAI's chat: the first choice's deltas."""

    def add(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        for choice in mappings(event.get("choices")):
            if index(choice.get("index")) != 0:
                continue
            self._any = True
            delta = mapping(choice.get("delta"))
            self._content.append(text(delta.get("content")))
            self._reasoning.append(text(delta.get("reasoning")) or text(delta.get("reasoning_content")))
            self._refusal.append(text(delta.get("refusal")))
            for part in mappings(delta.get("tool_calls")):
                function = mapping(part.get("function"))
                call = self._calls.setdefault(index(part.get("index")), _Call())
                call.id = call.id or text(part.get("id"))
                call.name += text(function.get("name"))
                call.arguments.append(text(function.get("arguments")))
            self.done = self.done or bool(choice.get("finish_reason"))


class CompletionAssembly(Assembly):
    """OpenAI's completions: the first choice's texts."""

    def add(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        for choice in mappings(event.get("choices")):
            if index(choice.get("index")) == 0:
                self._any = True
                self._content.append(text(choice.get("text")))
                self.done = self.done or bool(choice.get("finish_reason"))


class ResponsesAssembly(Assembly):
    """OpenAI's responses: numbered items, each with its own kind of delta."""

    def add(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        kind, number = text(event.get("type")), index(event.get("output_index"))
        if kind == "response.output_item.added":
            self._any = True
            item = mapping(event.get("item"))
            if item.get("type") == "function_call":
                self._calls[number] = _Call(text(item.get("call_id")), text(item.get("name")))
        elif kind == "response.function_call_arguments.delta" and number in self._calls:
            self._calls[number].arguments.append(text(event.get("delta")))
        elif kind in ("response.completed", "response.incomplete"):
            self.done = True
        else:
            self._add_text(kind, text(event.get("delta")))

    def _add_text(self, kind: str, delta: str) -> None:
        texts = {
            "response.output_text.delta": self._content,
            "response.reasoning_text.delta": self._reasoning,
            "response.refusal.delta": self._refusal,
        }
        if kind in texts:
            self._any = True
            texts[kind].append(delta)


class AnthropicAssembly(Assembly):
    """Anthropic's messages: numbered blocks of text, thought or tool input."""

    def add(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        kind, number = text(event.get("type")), index(event.get("index"))
        if kind == "message_start":
            self._any = True
        elif kind == "content_block_start":
            self._any = True
            block = mapping(event.get("content_block"))
            self._content.append(text(block.get("text")))
            if block.get("type") == "tool_use":
                self._calls[number] = _Call(text(block.get("id")), text(block.get("name")))
        elif kind == "content_block_delta":
            self._any = True
            self._add_delta(mapping(event.get("delta")), number)
        elif kind == "message_stop":
            self.done = True

    def _add_delta(self, delta: dict[str, Any], number: int) -> None:
        self._content.append(text(delta.get("text")))
        self._reasoning.append(text(delta.get("thinking")))
        if number in self._calls:
            self._calls[number].arguments.append(text(delta.get("partial_json")))
