"""A deterministic engine with vLLM's HTTP interface, for tests and benchmarks: no model, next to no CPU.

Token k of an answer depends on the prompt, k and `seed` alone; an answer has exactly `max_tokens` tokens (default 16)
and ends with `length`. Chat, completions, responses and messages, streamed or not, have the byte shape of vLLM's
application; embeddings and tokenize are minimal. A prompt of more than `MAX_MODEL_LEN` tokens (four bytes each) is
refused as vLLM refuses it. Without a hook everything is sent at once, in one message.

With weights from a directory (`EngineSettings.reference`) an answer begins with their tag (`fake_weights`) and the rest
depends on it too; a paced answer whose weights go away or change before its last token ends with an error.

Hooks are asked for with the field `user` (`metadata.user_id` on `/v1/messages`):

- `pace-<n>ms`: one token each n milliseconds, the first at once; one timer steps all requests of the same pace.
- `die-now`: the process ends like a crash (`os._exit`) before anything is sent.
- `die-after-3`: three tokens, one each 10 ms, then the same.
- `hang`: nothing is ever sent; ends only when cancelled.
- `hang-after-3`: three tokens, then as above.
- `slow-abort-<n>ms`: as `hang`, but the slot stays taken for n milliseconds after the cancellation.
- `error-500`: a 500 whose message names a path and an address, which must not reach a client.
- `dead-500`: the same from an engine that is dead, before anybody has noticed.
- `error-after-3`: three tokens, then vLLM's error event and a clean end, which must not look like one to a client.
- `raise`: the application itself raises.
- `fatal`: as `hang`, and the engine declares itself dead.
"""

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from libs.contracts.inference import ServedModel, Usage
from libs.contracts.requests import ROUTES
from libs.kit import clock
from libs.testkit import fake_answers as answers
from libs.testkit import fake_weights
from libs.testkit.fake_pace import Pacer
from libs.testkit.fake_responses import responses_full, responses_steps

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

CAPACITY: Final = 256
CRASH_STATUS: Final = 137
_DIGEST: Final = "fa4e" * 3
_decode = msgspec.json.Decoder(answers.Body).decode
_SSE: Final = [(b"content-type", b"text/event-stream; charset=utf-8")]
_JSON: Final = [(b"content-type", b"application/json")]
_DEFAULT_TOKENS: Final = 16
_STEP_MS: Final = 10
_EMBEDDING: Final = [0.5, -0.25, 0.125, 0.0]

_FULL: Final[dict[str, Callable[[answers.Call], bytes]]] = {
    "/v1/chat/completions": answers.chat_full,
    "/v1/completions": answers.completion_full,
    "/v1/messages": answers.messages_full,
    "/v1/responses": responses_full,
}


class FakeSettings(Protocol):
    """What `build` reads."""

    @property
    def model_name(self) -> str:
        """Name under which the engine answers."""

    @property
    def reference(self) -> str:
        """Name under which it answers with the weights in `model`; empty: without weights."""

    @property
    def model(self) -> str:
        """Directory of the weights."""


class FakeRequest:
    """What the engine does for one request."""

    def __init__(self, engine: "FakeEngine", request_id: str) -> None:
        self.request_id = request_id
        self.usage: Usage | None = None
        self.refusal = ""
        self._engine = engine
        self._task: asyncio.Task[Any] | None = None
        self._freed: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        """Whether its slot is taken."""
        return self._task is not None

    def take(self) -> None:
        """Take a slot."""
        self._task = asyncio.current_task()
        self._engine.slots += 1

    def free(self) -> None:
        """Give the slot back."""
        self._task = None
        self._engine.slots -= 1
        if self._freed is not None:
            self._freed.set()

    async def abort(self) -> None:
        """Cancel the work; return when the slot is free."""
        if self._task is None:
            return
        self._freed = self._freed or asyncio.Event()
        self._task.cancel()
        await self._freed.wait()


_current: contextvars.ContextVar[FakeRequest | None] = contextvars.ContextVar("fake_request", default=None)


class FakeEngine:
    """The engine; `slots` counts the requests that it is working on."""

    def __init__(self, model_name: str = "helpdesk", *, reference: str = "", base: Path | None = None) -> None:
        """Answer as `model_name` without weights, or as `reference` with those in `base`."""
        version = reference or f"{model_name}@sha256:{_DIGEST}"
        names = (reference,) if reference else (model_name, f"{model_name}@champion", version)
        self.models = tuple(_served(name, version) for name in names)
        self.base = base
        self.weights: dict[str, str] = {}
        """Tags of what is loaded, by name; empty without weights."""
        self.capacity = CAPACITY
        self.description = "fake engine"
        self.has_adapters = False
        self.is_dead = False
        self.slots = 0
        self._pacers: dict[int, Pacer] = {}
        self._on_fatal: Callable[[str], None] = _ignore

    async def start(self, on_fatal: Callable[[str], None]) -> None:
        """Ready at once, or as soon as the weights are read."""
        self._on_fatal = on_fatal
        if self.base is not None:
            self.weights[self.models[0].name] = await fake_weights.load(self.base)

    async def add_adapter(self, reference: str, directory: Path) -> None:
        """Load an adapter on the base."""
        assert self.base is not None
        assert reference not in self.weights, "an engine that is given a name twice mixes old and new"
        self.weights[reference] = await fake_weights.load(self.base, directory)
        self.models += (_served(reference, reference, adapter=True),)

    async def remove_adapter(self, reference: str) -> None:
        """Forget an adapter."""
        self.weights.pop(reference, None)
        self.models = tuple(model for model in self.models if model.name != reference)

    async def stop(self) -> None:
        """Stop the timers."""
        for pacer in self._pacers.values():
            pacer.stop()

    def open(self, request_id: str) -> FakeRequest:
        """Follow the current task's next call of `app`."""
        request = FakeRequest(self, request_id)
        _current.set(request)
        return request

    async def app(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """ASGI 3 application."""
        path = scope["path"]
        if path not in ROUTES:
            await _reply(send, 404, b'{"detail":"Not Found"}')
            return
        request = _current.get() or FakeRequest(self, clock.new_request_id())
        request.take()
        slow_abort_ms = 0
        try:
            body = await _read(receive)
            user = body.user or (body.metadata.user_id if body.metadata else None)
            if user and user.startswith("slow-abort-"):
                slow_abort_ms = _milliseconds(user)
            await self._answer(path, body, user, request, send)
        except msgspec.ValidationError as error:
            await _reply(send, 400, _refusal(f"Validation error: {error}", None))
        finally:
            if slow_abort_ms:
                asyncio.get_running_loop().call_later(slow_abort_ms / 1_000, request.free)
            else:
                request.free()

    async def _answer(self, path: str, body: answers.Body, user: str | None, request: FakeRequest, send: _Send) -> None:
        if path not in _FULL:
            await _reply(send, 200, _small(path, body))
            return
        if user and await self._trouble(user, send):
            return
        tag = self.weights.get(body.model, "")
        if self.weights and not tag:
            await _reply(send, 404, _unknown(body.model))
            return
        call = _call_of(body, request.request_id, tag)
        if call.prompt_tokens > answers.MAX_MODEL_LEN:
            await _reply(send, 400, _too_long(call))
            return
        request.usage = Usage(
            prompt_tokens=call.prompt_tokens, completion_tokens=len(call.tokens), finish_reason="length"
        )
        if not body.stream:
            if user and user.startswith("pace-"):
                await self._pacer(_milliseconds(user)).wait(len(call.tokens))
                self._check(call.model, tag)
            await _reply(send, 200, _FULL[path](call))
            return
        await send({"type": "http.response.start", "status": 200, "headers": _SSE})
        if user:
            await self._stream_slowly(path, call, user, send)
        elif path == "/v1/responses":
            await send({"type": "http.response.body", "body": b"".join(responses_steps(call)), "more_body": False})
        else:
            everything = answers.STREAMS[path](call).burst(call.tokens)
            await send({"type": "http.response.body", "body": everything, "more_body": False})

    async def _stream_slowly(self, path: str, call: answers.Call, user: str, send: _Send) -> None:
        tag = self.weights.get(call.model, "")
        steps = responses_steps(call) if path == "/v1/responses" else answers.STREAMS[path](call).steps(call.tokens)
        pace_ms = _milliseconds(user) if user.startswith("pace-") else 0
        stop_after = 3 if user.endswith("-after-3") else len(steps) + 1
        pacer = self._pacer(pace_ms or _STEP_MS)
        for index, step in enumerate(steps):
            if index == stop_after:
                await self._break_off(user, send)
                return
            if index and (pace_ms or stop_after == 3):
                await pacer.wait(1)
                self._check(call.model, tag)
            await send({"type": "http.response.body", "body": step, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _check(self, name: str, tag: str) -> None:
        """What a real engine does at each step with an adapter that is gone, only louder."""
        if self.weights.get(name, "") != tag:
            raise RuntimeError(f"the weights of {name} went away while they were used")

    async def _break_off(self, user: str, send: _Send) -> None:
        # A few steps of time, so that what was sent before has left the process.
        await self._pacer(_STEP_MS).wait(5)
        if user.startswith("die"):
            os._exit(CRASH_STATUS)
        if user.startswith("hang"):
            await asyncio.Event().wait()
        error = b'data: {"error": {"message": "Internal server error", "type": "InternalServerError", "code": 500}}\n\n'
        await send({"type": "http.response.body", "body": error + b"data: [DONE]\n\n", "more_body": False})

    async def _trouble(self, user: str, send: _Send) -> bool:
        """Act on the hooks that come before any token; False if there is none."""
        if user == "die-now":
            os._exit(CRASH_STATUS)
        if user == "raise":
            raise RuntimeError("the application broke in /opt/engine/app.py")
        if user in {"error-500", "dead-500"}:
            self.is_dead = user == "dead-500"
            message = b'{"error":{"message":"broke at 0x7f00aa in /opt/engine/core.py","type":"InternalServerError"}}'
            await _reply(send, 500, message)
            return True
        if user == "fatal":
            self._on_fatal("the fake engine was told to die")
        if user in {"hang", "fatal"} or user.startswith("slow-abort-"):
            await asyncio.Event().wait()
        return False

    def _pacer(self, interval_ms: int) -> Pacer:
        pacer = self._pacers.get(interval_ms)
        if pacer is None:
            pacer = self._pacers[interval_ms] = Pacer(interval_ms / 1_000)
        return pacer


def build(settings: FakeSettings) -> FakeEngine:
    """The factory that `INFERENCE_ENGINE=libs.testkit.fake_engine:build` names."""
    if settings.reference:
        return FakeEngine(reference=settings.reference, base=Path(settings.model))
    return FakeEngine(settings.model_name)


def _ignore(_reason: str) -> None:
    """Nobody has started the engine yet."""


def _milliseconds(user: str) -> int:
    return int(user.rsplit("-", 1)[1].removesuffix("ms"))


async def _read(receive: _Receive) -> answers.Body:
    message = await receive()
    data = message["body"]
    while message.get("more_body"):
        message = await receive()
        data += message["body"]
    return _decode(data)


async def _reply(send: _Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _JSON})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _prompt_of(body: answers.Body) -> bytes:
    return bytes(body.messages) or bytes(body.prompt) or bytes(body.input)


def _call_of(body: answers.Body, request_id: str, tag: str) -> answers.Call:
    prompt = _prompt_of(body)
    limit = body.max_tokens or body.max_completion_tokens or body.max_output_tokens or _DEFAULT_TOKENS
    options = body.stream_options
    return answers.Call(
        request_id,
        body.model,
        clock.unix_ms() // 1_000,
        prompt,
        1 + len(prompt) // 4,
        _tokens(prompt, body.seed or 0, limit, tag),
        options is not None and options.include_usage,
    )


def _tokens(prompt: bytes, seed: int, count: int, tag: str) -> tuple[bytes, ...]:
    if not tag:
        return answers.tokens_of(prompt, seed, count)
    return (f" {tag}".encode(), *answers.tokens_of(prompt + tag.encode(), seed, count))[:count]


def text_of(messages: object, tag: str, count: int = _DEFAULT_TOKENS, seed: int = 0) -> str:
    """The answer to `messages`, sent as compact JSON, of weights with this tag."""
    tokens = _tokens(msgspec.json.encode(messages), seed, count, tag)
    return str(msgspec.json.decode(b'"' + b"".join(tokens) + b'"'))


def _served(name: str, version: str, *, adapter: bool = False) -> ServedModel:
    length = answers.MAX_MODEL_LEN
    return ServedModel(name=name, version=version, adapter=adapter, max_model_len=length, routes=tuple(ROUTES))


def _unknown(name: str) -> bytes:
    error = {"message": f"The model `{name}` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}
    return msgspec.json.encode({"error": error})


def _too_long(call: answers.Call) -> bytes:
    message = (
        f"This model's maximum context length is {answers.MAX_MODEL_LEN} tokens. However, your prompt contains at "
        f"least {call.prompt_tokens} input tokens. (parameter=input_tokens, value={call.prompt_tokens})"
    )
    return _refusal(message, "input_tokens")


def _refusal(message: str, param: str | None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": "BadRequestError", "param": param, "code": 400}})


def _small(path: str, body: answers.Body) -> bytes:
    """The routes without generated text."""
    ids = list(_prompt_of(body))
    answer: dict[str, object]
    if path == "/tokenize":
        answer = {"count": len(ids), "max_model_len": answers.MAX_MODEL_LEN, "tokens": ids, "token_strs": None}
    elif path == "/detokenize":
        answer = {"prompt": bytes(token % 128 for token in body.tokens).decode()}
    elif path == "/v1/messages/count_tokens":
        answer = {"input_tokens": 1 + len(ids) // 4}
    else:
        usage = {"prompt_tokens": 1 + len(ids) // 4, "total_tokens": 1 + len(ids) // 4}
        data = [{"index": 0, "object": "embedding", "embedding": _EMBEDDING}]
        answer = {"id": "embd-fake", "object": "list", "model": body.model, "data": data, "usage": usage}
    return msgspec.json.encode(answer)


app: Final = FakeEngine().app
"""The application alone, to be served by any ASGI server."""
