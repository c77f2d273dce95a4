"""The names of everything that spans say: OpenTelemetry's where it has one, for they still move; else ours, `llmos.*`.

HTTP, database, RPC and messaging names follow semantic conventions 1.44, those of generative AI a repository of
their own, as it was late in 2026. What clients and models say is in none of them, nor are keys, users and addresses.
"""

from typing import Final

from libs.contracts.inference import Usage

ERROR_TYPE: Final = "error.type"
"""A code of `libs.contracts.errors`, or the name of an exception's class; never its text."""

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"

DB_SYSTEM: Final = "db.system.name"
DB_NAMESPACE: Final = "db.namespace"
RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
S3_BUCKET: Final = "aws.s3.bucket"

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.type"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_CONSUMER: Final = "messaging.consumer.group.name"
MESSAGING_COUNT: Final = "messaging.batch.message_count"

REQUEST_ID: Final = "llmos.request.id"
TENANT: Final = "llmos.tenant"
POOL: Final = "llmos.pool"
SERVICE_CLASS: Final = "llmos.service_class"
WORKER: Final = "llmos.worker.id"
ATTEMPT: Final = "llmos.attempt"
DIRECT: Final = "llmos.direct"
"""Whether a gateway chose the worker, so that no scheduler has a span."""
RETRIES: Final = "llmos.retries"
QUEUE_MS: Final = "llmos.queue_ms"
OUTCOME: Final = "llmos.outcome"
JOB: Final = "llmos.job.id"

LLMOS: Final = "llmos"
NATS: Final = "nats"
POSTGRESQL: Final = "postgresql"

_OPERATIONS: Final = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}


def operation_of(route: str) -> str:
    """What OpenTelemetry calls the work behind one of our routes; its last part where there is no name for it."""
    return _OPERATIONS.get(route) or route.rpartition("/")[2]


def of_usage(usage: Usage) -> dict[str, str | int | tuple[str, ...]]:
    """What one execution cost, and why it ended."""
    said: dict[str, str | int | tuple[str, ...]] = {
        INPUT_TOKENS: usage.prompt_tokens,
        OUTPUT_TOKENS: usage.completion_tokens,
        CACHED_TOKENS: usage.cached_tokens,
    }
    if usage.finish_reason:
        said[FINISH_REASONS] = (usage.finish_reason,)
    return said
