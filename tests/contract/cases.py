"""Requests whose answers have a fixed shape, for the real engine and the fake one alike."""

import json
from dataclasses import dataclass
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden_shapes.json")
MESSAGES = [{"role": "user", "content": "What does the lamp cost?"}]


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    route: str
    fields: dict[str, object]

    @property
    def body(self) -> bytes:
        """As a client sends it."""
        return json.dumps({"model": "helpdesk", **self.fields}).encode()

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return bool(self.fields.get("stream"))


_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
_CHAT = {"messages": MESSAGES, "max_tokens": 4, "ignore_eos": True}
_TEXT = {"prompt": "The lamp costs", "max_tokens": 4, "ignore_eos": True}
_RESPONSES = {"input": "What does the lamp cost?", "max_output_tokens": 4, "ignore_eos": True, "temperature": 0.0}
_ANTHROPIC = {"messages": MESSAGES, "max_tokens": 4}

CASES = (
    Case("chat", "/v1/chat/completions", _CHAT),
    Case("chat, streamed", "/v1/chat/completions", _CHAT | {"stream": True}),
    Case("chat, streamed with usage", "/v1/chat/completions", _CHAT | _USAGE),
    Case("completions", "/v1/completions", _TEXT),
    Case("completions, streamed", "/v1/completions", _TEXT | {"stream": True}),
    Case("completions, streamed with usage", "/v1/completions", _TEXT | _USAGE),
    Case("responses", "/v1/responses", _RESPONSES),
    Case("responses, streamed", "/v1/responses", _RESPONSES | {"stream": True}),
    Case("messages", "/v1/messages", _ANTHROPIC),
    Case("messages, streamed", "/v1/messages", _ANTHROPIC | {"stream": True}),
)


def golden(case: Case) -> list[str]:
    """The shape that the answer must have."""
    shapes: dict[str, list[str]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return shapes[case.name]
