"""Asks the stack through the official OpenAI SDK, and measures what a user would feel."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import openai
from openai.types.chat import ChatCompletionMessageParam

from deploy.local.errors import StackError
from deploy.local.state import StackState
from libs.kit.clock import monotonic_s

WORKER_HEADER: Final = "x-llmos-worker"
_TIMEOUT_S: Final = 120.0
_MAX_TOKENS: Final = 128

Messages = list[ChatCompletionMessageParam]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer and how it came.

    Attributes:
        text: all of it.
        worker: which worker answered, as it is called by operators.
        first_token_s: from the request to the first piece of text; for an answer in one piece, to the whole.
        total_s: from the request to the end.
        tokens: in the answer.
        streamed: whether it came in pieces.
    """

    text: str
    worker: str
    first_token_s: float
    total_s: float
    tokens: int
    streamed: bool

    @property
    def tokens_per_s(self) -> float:
        """Tokens after the first per second of streaming; all of them per second where they came at once."""
        if self.streamed and self.tokens > 1:
            return (self.tokens - 1) / max(self.total_s - self.first_token_s, 1e-6)
        return self.tokens / max(self.total_s, 1e-6)


class Talk:
    """A client of one running stack."""

    def __init__(self, state: StackState, api_key: str) -> None:
        # Proxies are for the outside; this address is on this machine.
        transport = openai.DefaultHttpxClient(trust_env=False)
        self._client = openai.OpenAI(
            base_url=state.base_url, api_key=api_key, timeout=_TIMEOUT_S, http_client=transport
        )
        self._model = state.model

    def ask(self, messages: Messages) -> Answer:
        """Ask for the whole answer at once."""
        started_s = monotonic_s()
        with _explained():
            raw = self._client.chat.completions.with_raw_response.create(
                model=self._model, messages=messages, max_tokens=_MAX_TOKENS, temperature=0
            )
            completion = raw.parse()
        total_s = monotonic_s() - started_s
        return Answer(
            text=completion.choices[0].message.content or "",
            worker=raw.headers.get(WORKER_HEADER, ""),
            first_token_s=total_s,
            total_s=total_s,
            tokens=completion.usage.completion_tokens if completion.usage else 0,
            streamed=False,
        )

    def stream(self, messages: Messages, on_text: Callable[[str], None]) -> Answer:
        """Ask for the answer as it comes; `on_text` hears each piece."""
        started_s = monotonic_s()
        first_s, tokens, pieces = 0.0, 0, []
        with _explained():
            raw = self._client.chat.completions.with_raw_response.create(
                model=self._model, messages=messages, max_tokens=_MAX_TOKENS, temperature=0,
                stream=True, stream_options={"include_usage": True},
            )  # fmt: skip
            for chunk in raw.parse():
                if chunk.usage is not None:
                    tokens = chunk.usage.completion_tokens
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    first_s = first_s or monotonic_s() - started_s
                    pieces.append(text)
                    on_text(text)
        return Answer(
            text="".join(pieces),
            worker=raw.headers.get(WORKER_HEADER, ""),
            first_token_s=first_s,
            total_s=monotonic_s() - started_s,
            tokens=tokens,
            streamed=True,
        )


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn the SDK's errors into what happened and what to do."""
    try:
        yield
    except openai.APIStatusError as error:
        raise StackError(f"The gateway answered {error.status_code}: {error.message}", "See: ./llmos logs") from error
    except openai.APIConnectionError as error:
        raise StackError("The gateway cannot be reached.", "See: ./llmos status") from error
