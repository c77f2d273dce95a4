"""The loads: what each connection asks for, again and again."""

import json
from dataclasses import dataclass, replace
from typing import Final

PATH: Final = "/v1/chat/completions"
TOKENS: Final = 64
PACE_MS: Final = 10
ROLE_AND_DONE: Final = 2
"""Events of a streamed answer that carry no token: the first one names the role, the last one is `[DONE]`."""

PROMPT: Final = "What does the travel kettle cost, and how long does it take to arrive in Bergen?"


@dataclass(frozen=True, kw_only=True)
class Load:
    """One kind of traffic, sent over `connections` connections in a closed loop."""

    name: str
    title: str
    connections: int
    stream: bool
    warm_s: float
    window_s: float
    tokens: int = TOKENS
    pace_ms: int = 0
    drain_s: float = 40.0
    """How long the requests under way at the end of the window may take to finish."""
    spread_s: float = 0.0
    """The connections begin evenly within this time, as independent users would; 0: all in the same instant."""
    min_events: int = 0
    """The fewest `data:` lines that a complete answer has; 0 where none are expected."""

    def body(self, model: str, extra: dict[str, object] | None = None) -> bytes:
        """The request, with `extra` fields where an engine needs them for answers of equal length."""
        request: dict[str, object] = {
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": self.tokens,
            "stream": self.stream,
            **(extra or {}),
        }
        if self.pace_ms:
            request["user"] = f"pace-{self.pace_ms}ms"
        return json.dumps(request).encode()

    def scaled(self, factor: float) -> "Load":
        """The same load with a shorter or longer window."""
        return replace(self, window_s=self.window_s * factor)


def _whole(connections: int) -> Load:
    return Load(
        name=f"whole-c{connections}",
        title=f"not streamed, {connections} at a time",
        connections=connections,
        stream=False,
        warm_s=0.3,
        window_s=1.8,
    )


def _burst(connections: int) -> Load:
    return Load(
        name=f"burst-c{connections}",
        title=f"{TOKENS} tokens at once, {connections} at a time",
        connections=connections,
        stream=True,
        warm_s=0.3,
        window_s=1.8,
        min_events=TOKENS + ROLE_AND_DONE,
    )


def _paced(connections: int) -> Load:
    return Load(
        name=f"paced-c{connections}",
        title=f"{TOKENS} tokens, one each {PACE_MS} ms, {connections} at a time",
        connections=connections,
        stream=True,
        warm_s=0.8,
        window_s=2.6,
        pace_ms=PACE_MS,
        spread_s=TOKENS * PACE_MS / 1_000,
        min_events=TOKENS + ROLE_AND_DONE,
    )


def _vllm(connections: int) -> Load:
    """A real engine may join tokens that were ready together in one event, so that few is all that can be demanded."""
    return Load(
        name=f"vllm-c{connections}",
        title=f"real vLLM, {TOKENS} tokens, {connections} at a time",
        connections=connections,
        stream=True,
        warm_s=1.0,
        window_s=7.0,
        min_events=3,
    )


MOCK_LOADS: Final = (_whole(1), _whole(32), _burst(1), _burst(32), _paced(1), _paced(16), _paced(64))
VLLM_LOADS: Final = (_vllm(1), _vllm(8), _vllm(32))
ALL_LOADS: Final = (*MOCK_LOADS, *VLLM_LOADS)
MOCK_WARM: Final = ("whole-c32", "burst-c32", "paced-c16")
VLLM_WARM: Final = ("vllm-c1", "vllm-c32")
