"""What a client may put into a request body, per route, and the few fields that the platform reads itself.

Everything else is kept as raw JSON and reaches the engine byte for byte. A field that is not named here is refused:
engines accept private fields that would break isolation between tenants (`cache_salt`), order (`priority`) or safety.
"""

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, cast

import msgspec

from libs.contracts.permissions import Permission

MAX_CHOICES: Final = 8
"""Answers (`n`) that one request may ask for; each takes an engine slot."""

MAX_TOKEN_LIMIT: Final = 2**31 - 1

Dialect = Literal["openai", "anthropic"]
TokenLimit = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKEN_LIMIT)]
Choices = Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)]
ServiceTier = Literal["auto", "default", "standard", "standard_only", "flex", "batch", "scale", "priority"]


class RequestBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The fields that the platform reads on every route."""

    model: str
    stream: bool | None = None
    user: str | None = None
    service_tier: ServiceTier | None = None

    def token_limit(self) -> int:
        """The client's limit on generated tokens; 0 when it set none."""
        return 0


class ChatBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/v1/chat/completions`."""

    messages: msgspec.Raw
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    n: Choices | None = None

    def token_limit(self) -> int:
        """The newer name wins, as in the engine."""
        return self.max_completion_tokens or self.max_tokens or 0


class CompletionBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/v1/completions`."""

    prompt: msgspec.Raw
    max_tokens: TokenLimit | None = None
    n: Choices | None = None

    def token_limit(self) -> int:
        """The client's limit."""
        return self.max_tokens or 0


class ResponsesBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/v1/responses`."""

    input: msgspec.Raw
    max_output_tokens: TokenLimit | None = None

    def token_limit(self) -> int:
        """The client's limit."""
        return self.max_output_tokens or 0


class MessagesBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/v1/messages`; the limit is required there."""

    messages: msgspec.Raw
    max_tokens: TokenLimit

    def token_limit(self) -> int:
        """The client's limit."""
        return self.max_tokens


class CountTokensBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/v1/messages/count_tokens`."""

    messages: msgspec.Raw


class EmbeddingsBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/v1/embeddings`."""

    input: msgspec.Raw


class TokenizeBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/tokenize`, of a prompt or of messages."""


class DetokenizeBody(RequestBody, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`/detokenize`."""

    tokens: msgspec.Raw


@dataclass(frozen=True, kw_only=True)
class RouteContract:
    """One endpoint: how its body is read and which dialect its errors speak."""

    path: str
    """As it stands in an envelope and in a worker's beat."""
    dialect: Dialect
    body: type[RequestBody]
    """Decodes the whole body; holds every allowed field."""
    refused: frozenset[str]
    """Fields that the engine knows and a client may not set; they get an error of their own."""
    permission: Permission
    """What a key must be allowed to do."""
    aliases: tuple[str, ...] = ()
    """Other paths under which the gateway offers it."""
    allowed: frozenset[str] = field(init=False)
    """Names of all allowed fields."""

    def __post_init__(self) -> None:
        """Read the names from the structure, so that the two cannot differ."""
        object.__setattr__(self, "allowed", frozenset(self.body.__struct_fields__))


_COMMON: Final = (
    "temperature top_p top_k min_p seed presence_penalty frequency_penalty repetition_penalty logit_bias stop "
    "stop_token_ids include_stop_str_in_output ignore_eos skip_special_tokens structured_outputs"
)
_SAMPLING: Final = (
    f"{_COMMON} min_tokens bad_words allowed_token_ids repetition_detection spaces_between_special_tokens "
    "truncate_prompt_tokens truncation_side"
)
_LOGPROBS: Final = "logprobs prompt_logprobs logprob_token_ids return_tokens_as_token_ids"
_REASONING: Final = "include_reasoning thinking_token_budget"
_TOOLS: Final = "tools tool_choice parallel_tool_calls"
# OpenAI fields that are harmless where the engine ignores them; the SDKs and agents send them.
_BOOKKEEPING: Final = "metadata store prompt_cache_key prompt_cache_retention safety_identifier"
_TEMPLATE_FLAGS: Final = "add_generation_prompt continue_final_message add_special_tokens"

_PRIVATE: Final = (
    # The template is a program that runs in the engine's process.
    "chat_template chat_template_kwargs",
    # Loaders and processors: their arguments reach libraries that were not written for strangers.
    "media_io_kwargs mm_processor_kwargs mm_payload return_mm_kwargs prompt_embeds",
    # The platform's own: who shares a cache, who runs first, how requests are named and tied together.
    "cache_salt priority request_id session_id",
    # Between engines only.
    "kv_transfer_params ec_transfer_params vllm_xargs routed_experts_prompt_start",
    # Change the bytes or the rhythm of the answer, or multiply its cost.
    "return_token_ids return_token_offsets return_prompt_text stream_interval watermarking use_beam_search",
    "length_penalty best_of enable_response_messages previous_input_messages use_activation embed_dtype endianness",
)


def _split(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group.split())


def _route(
    path: str, base: type[RequestBody], *names: str, dialect: Dialect = "openai", aliases: tuple[str, ...] = ()
) -> RouteContract:
    """Add the pass-through fields `names` to `base`."""
    raw = [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in _split(names)]
    # Deriving at run time loses the base in the declared type; the cast gives it back.
    body = cast(
        "type[RequestBody]",
        msgspec.defstruct(
            base.__name__, raw, bases=(base,), kw_only=True, forbid_unknown_fields=True, gc=False, module=__name__
        ),
    )
    refused = frozenset(_split(_PRIVATE)) - set(body.__struct_fields__)
    return RouteContract(
        path=path,
        dialect=dialect,
        body=body,
        refused=refused,
        # All of them take work from an engine.
        permission=Permission.INFERENCE_USE,
        aliases=aliases,
    )


_TABLE: Final = (
    _route(
        "/v1/chat/completions",
        ChatBody,
        _SAMPLING,
        _LOGPROBS,
        _REASONING,
        _TOOLS,
        _BOOKKEEPING,
        _TEMPLATE_FLAGS,
        "stream_options response_format top_logprobs reasoning_effort verbosity prediction documents echo",
    ),
    _route(
        "/v1/completions",
        CompletionBody,
        _SAMPLING,
        _LOGPROBS,
        _BOOKKEEPING,
        "stream_options response_format suffix echo add_special_tokens thinking_token_budget",
    ),
    _route(
        "/v1/responses",
        ResponsesBody,
        _COMMON,
        _TOOLS,
        _BOOKKEEPING,
        "stream_options instructions text reasoning include include_reasoning top_logprobs max_tool_calls truncation "
        "background previous_response_id prompt",
    ),
    _route(
        "/v1/messages",
        MessagesBody,
        "system temperature top_p top_k stop_sequences tools tool_choice thinking metadata output_config "
        "context_management",
        dialect="anthropic",
    ),
    _route(
        "/v1/messages/count_tokens",
        CountTokensBody,
        "system tools tool_choice thinking output_config context_management",
        dialect="anthropic",
    ),
    _route(
        "/v1/embeddings",
        EmbeddingsBody,
        "encoding_format dimensions truncate_prompt_tokens truncation_side add_special_tokens",
    ),
    _route(
        "/tokenize",
        TokenizeBody,
        "prompt messages tools return_token_strs",
        _TEMPLATE_FLAGS,
        aliases=("/v1/tokenize",),
    ),
    _route("/detokenize", DetokenizeBody, aliases=("/v1/detokenize",)),
)

ROUTES: Final = {route.path: route for route in _TABLE}
"""Every endpoint that takes work, by its path."""
