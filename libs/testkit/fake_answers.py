"""What the fake engine says: deterministic tokens, rendered in the byte shapes of vLLM's OpenAI application.

Everything that does not change is rendered once; a whole streamed answer costs one join.
"""

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

_WORDS: Final = tuple(
    msgspec.json.encode(word)[1:-1]
    for word in [
        " the",
        " of",
        " and",
        " price",
        " costs",
        " is",
        " a",
        " in",
        " 4",
        "2",
        " euros",
        ".",
        "\n",
        ",",
        " lamp",
        " chair",
        " desk",
        " blue",
        " please",
        " thank",
        " you",
        " yes",
        " naïve",
        " 你好",
        " ☕",
        " 🙂",
        ' "quoted"',
        " back\\slash",
        " it's",
        " we",
        " ship",
        " on",
        " Monday",
        " to",
        " every",
        " town",
        " small",
        " large",
    ]
)
_PERIOD: Final = 1_021
_TOKENS: Final = tuple(_WORDS[zlib.crc32(b"%d" % k) % len(_WORDS)] for k in range(_PERIOD)) * 2

FINGERPRINT: Final = "fake-1"
MAX_MODEL_LEN: Final = 8_192
_CREATED: Final = ',"created_cache_tokens":0'
_NOT_CREATED: Final = ',"created_cache_tokens":null'
_MULTIMODAL: Final = ',"multimodal_tokens":null'


class StreamOptions(msgspec.Struct):
    """The part of `stream_options` that changes the answer."""

    include_usage: bool = False


class Metadata(msgspec.Struct):
    """Where the Anthropic API carries what OpenAI calls `user`."""

    user_id: str | None = None


class Body(msgspec.Struct):
    """What the fake engine reads of any request."""

    model: str = ""
    messages: msgspec.Raw = msgspec.Raw(b"")
    prompt: msgspec.Raw = msgspec.Raw(b"")
    input: msgspec.Raw = msgspec.Raw(b"")
    tokens: tuple[int, ...] = ()
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: Metadata | None = None
    seed: int | None = None
    encoding_format: str = "float"


class Call(NamedTuple):
    """One request, read."""

    id: str
    model: str
    created_s: int
    prompt: bytes
    prompt_tokens: int
    tokens: tuple[bytes, ...]
    include_usage: bool


def tokens_of(prompt: bytes, seed: int, count: int) -> tuple[bytes, ...]:
    """The answer: token k depends on the prompt, k and the seed alone. Each token is escaped for JSON."""
    start = (zlib.crc32(prompt) + seed * 7_919) % _PERIOD
    if start + count <= len(_TOKENS):
        return _TOKENS[start : start + count]
    return tuple(_TOKENS[(start + k) % _PERIOD] for k in range(count))


class Stream(NamedTuple):
    """A streamed answer cut at its tokens: `opening`, then `before` token `after` …, the last one closed by `last`."""

    opening: bytes
    before: bytes
    after: bytes
    last: bytes

    def burst(self, tokens: tuple[bytes, ...]) -> bytes:
        """All events at once."""
        return b"".join((self.opening, self.before, (self.after + self.before).join(tokens), self.last))

    def steps(self, tokens: tuple[bytes, ...]) -> list[bytes]:
        """What each engine step adds."""
        parts = [b"%b%b%b" % (self.before, token, self.after) for token in tokens]
        parts[0] = self.opening + parts[0]
        parts[-1] = parts[-1][: len(parts[-1]) - len(self.after)] + self.last
        return parts


def _usage(call: Call, details: str) -> str:
    count = len(call.tokens)
    return (
        f'"usage":{{"prompt_tokens":{call.prompt_tokens},"total_tokens":{call.prompt_tokens + count},'
        f'"completion_tokens":{count},"prompt_tokens_details":{{"cached_tokens":0{details}}}'
    )


def chat_stream(call: Call) -> Stream:
    """`/v1/chat/completions`, streamed."""
    head = (
        f'data: {{"id":"chatcmpl-{call.id}","object":"chat.completion.chunk","created":{call.created_s},'
        f'"model":"{call.model}","choices":['
    )
    opening = (
        f'{head}{{"index":0,"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}],'
        '"prompt_token_ids":null,"prompt_text":null}\n\n'
    )
    last = '"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]'
    if call.include_usage:
        last += f'}}\n\n{head}],{_usage(call, _CREATED)}}},"system_fingerprint":"{FINGERPRINT}"}}\n\n'
    else:
        last += f',"system_fingerprint":"{FINGERPRINT}"}}\n\n'
    return Stream(
        opening.encode(),
        f'{head}{{"index":0,"delta":{{"content":"'.encode(),
        b'"},"logprobs":null,"finish_reason":null,"token_ids":null}]}\n\n',
        f"{last}data: [DONE]\n\n".encode(),
    )


def completion_stream(call: Call) -> Stream:
    """`/v1/completions`, streamed."""
    head = (
        f'data: {{"id":"cmpl-{call.id}","object":"text_completion","created":{call.created_s},'
        f'"model":"{call.model}","choices":['
    )
    tail = '"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]'
    last = f'","logprobs":null,"finish_reason":"length",{tail}'
    if call.include_usage:
        last += f'}}\n\n{head}],{_usage(call, "")}}},"system_fingerprint":"{FINGERPRINT}"}}\n\n'
    else:
        last += f',"system_fingerprint":"{FINGERPRINT}"}}\n\n'
    return Stream(
        b"",
        f'{head}{{"index":0,"text":"'.encode(),
        f'","logprobs":null,"finish_reason":null,{tail}}}\n\n'.encode(),
        f"{last}data: [DONE]\n\n".encode(),
    )


def messages_stream(call: Call) -> Stream:
    """`/v1/messages`, streamed."""
    opening = (
        f'event: message_start\ndata: {{"type":"message_start","message":{{"id":"chatcmpl-{call.id}","type":"message",'
        f'"role":"assistant","content":[],"model":"{call.model}","stop_reason":null,"stop_sequence":null,'
        f'"usage":{{"input_tokens":{call.prompt_tokens},"output_tokens":0}}}}}}\n\n'
        'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text","text":""},'
        '"index":0}\n\n'
    )
    after = '"},"index":0}\n\n'
    last = (
        f'{after}event: content_block_stop\ndata: {{"type":"content_block_stop","index":0}}\n\n'
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_tokens",'
        f'"stop_sequence":null}},"usage":{_anthropic_usage(call)}}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    before = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"'
    return Stream(opening.encode(), before, after.encode(), last.encode())


def _anthropic_usage(call: Call) -> str:
    return (
        f'{{"input_tokens":{call.prompt_tokens},"output_tokens":{len(call.tokens)},"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":0}'
    )


def chat_full(call: Call) -> bytes:
    """`/v1/chat/completions` in one piece."""
    head = (
        f'{{"id":"chatcmpl-{call.id}","object":"chat.completion","created":{call.created_s},"model":"{call.model}",'
        '"choices":[{"index":0,"message":{"role":"assistant","content":"'
    )
    tail = (
        '","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,'
        '"finish_reason":"length","stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,'
        f'"system_fingerprint":"{FINGERPRINT}",{_usage(call, _CREATED + _MULTIMODAL)},'
        '"completion_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,'
        '"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}'
    )
    return b"".join((head.encode(), *call.tokens, tail.encode()))


def completion_full(call: Call) -> bytes:
    """`/v1/completions` in one piece."""
    head = (
        f'{{"id":"cmpl-{call.id}","object":"text_completion","created":{call.created_s},"model":"{call.model}",'
        '"choices":[{"index":0,"text":"'
    )
    tail = (
        '","logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"prompt_logprobs":null,'
        '"prompt_token_ids":null,"routed_experts":null}],"service_tier":null,'
        f'"system_fingerprint":"{FINGERPRINT}",{_usage(call, _NOT_CREATED + _MULTIMODAL)},'
        '"completion_tokens_details":null},"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}'
    )
    return b"".join((head.encode(), *call.tokens, tail.encode()))


def messages_full(call: Call) -> bytes:
    """`/v1/messages` in one piece."""
    head = f'{{"id":"chatcmpl-{call.id}","type":"message","role":"assistant","content":[{{"type":"text","text":"'
    tail = f'"}}],"model":"{call.model}","stop_reason":"max_tokens","usage":{_anthropic_usage(call)}}}'
    return b"".join((head.encode(), *call.tokens, tail.encode()))


STREAMS: Final[dict[str, Callable[[Call], Stream]]] = {
    "/v1/chat/completions": chat_stream,
    "/v1/completions": completion_stream,
    "/v1/messages": messages_stream,
}
