"""vLLM in this process: its own OpenAI application, and a client that counts, checks and confirms.

The only module that imports vLLM; written for 0.32 and 0.33. Import it through `services.inference.engines.vllm`.
"""

import asyncio
from argparse import Namespace
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec
import structlog
import vllm
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from vllm import AsyncEngineArgs, PoolingParams, PoolingRequestOutput, RequestOutput, SamplingParams, TokensPrompt
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.app import build_app
from vllm.envs import enable_envs_cache
from vllm.exceptions import VLLMClientError, VLLMNotFoundError, VLLMValidationError
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM

from libs.contracts.inference import ServedModel
from libs.kit.errors import ServiceError
from services.inference.engine import ASGIApp
from services.inference.engines.watch import Watch, current

try:
    from vllm.entrypoints.common.cli_args import (  # type: ignore[import-not-found] # 0.33
        make_arg_parser,
        validate_parsed_serve_args,
    )
except ImportError:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args

log = structlog.get_logger(__name__)

_WAITING: Final = 2
"""Executions beyond the running batch: a free slot never waits for the bus, and the order stays the scheduler's."""

_FIRST_LORA: Final = 1_000_000
"""Ids of adapters count up from here and are never used again: vLLM's own counter and its warm-up begin at 1."""

_HEALTH_S: Final = 1.0
_SHUTDOWN_S: Final = 5.0
_TEXT_ROUTES: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
)
_EMBEDDING_ROUTES: Final = ("/v1/embeddings",)
_COMMON_ROUTES: Final = ("/tokenize", "/detokenize")


class EngineClient(AsyncLLM):
    """vLLM's client, watched: what runs for whom, what it cost, and nothing that would end the engine."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._confirmed: set[tuple[int, str]] = set()

    async def generate(
        self, prompt: Any, sampling_params: SamplingParams, request_id: str, **options: Any
    ) -> AsyncGenerator[RequestOutput, None]:
        """As vLLM's; counts tokens for the current execution.

        Raises:
            VLLMNotFoundError: an adapter that the engine has not confirmed; trying it would end the engine.
            VLLMValidationError: prompt log-probabilities on an engine with adapters, which would end it, too.
        """
        self._check_lora(options.get("lora_request"))
        if self.vllm_config.lora_config is not None and sampling_params.prompt_logprobs is not None:
            raise VLLMValidationError(
                "Log-probabilities of the prompt are not available on a model that is served with adapters.",
                parameter="prompt_logprobs",
            )
        watch = current.get() or Watch(self)
        # The other kinds repeat in every output what the ones before said.
        incremental = sampling_params.output_kind == RequestOutputKind.DELTA
        first = True
        watch.begin(request_id)
        try:
            async with aclosing(super().generate(prompt, sampling_params, request_id, **options)) as outputs:
                async for output in outputs:
                    if first:
                        watch.count_prompt(output)
                        first = False
                    if incremental or output.finished:
                        watch.count_tokens(output.outputs)
                    yield output
        except VLLMClientError as error:
            # Some endpoints of the application turn it into an error of the server.
            watch.refuse(str(error))
            raise
        finally:
            watch.end(request_id)

    async def encode(  # type: ignore[override] # what later releases add passes through
        self, prompt: Any, pooling_params: PoolingParams, request_id: str, **options: Any
    ) -> AsyncGenerator[PoolingRequestOutput[Any], None]:
        """As vLLM's; counts tokens for the current execution.

        Raises:
            VLLMNotFoundError: an adapter that the engine has not confirmed.
        """
        self._check_lora(options.get("lora_request"))
        watch = current.get() or Watch(self)
        watch.begin(request_id)
        try:
            async with aclosing(super().encode(prompt, pooling_params, request_id, **options)) as outputs:
                async for output in outputs:
                    watch.count_prompt(output)
                    yield output
        finally:
            watch.end(request_id)

    async def add_lora(self, lora_request: LoRARequest) -> bool:
        """As vLLM's; remembers what the engine confirmed."""
        added = await super().add_lora(lora_request)
        if added:
            self._confirmed.add((lora_request.lora_int_id, lora_request.lora_path))
        return added

    async def remove_lora(self, lora_id: int) -> bool:
        """As vLLM's; from here on the adapter is refused."""
        self._confirmed = {lora for lora in self._confirmed if lora[0] != lora_id}
        return await super().remove_lora(lora_id)

    async def dead(self) -> str:
        """Wait until the engine can never answer again; why."""
        while not self.errored:
            handler = self.output_handler
            if handler is None:
                await asyncio.sleep(_HEALTH_S)
            else:
                await asyncio.wait((handler,), timeout=_HEALTH_S)
        return "the engine's process is gone" if self.is_running else "the engine's output ended"

    def _check_lora(self, lora: LoRARequest | None) -> None:
        if lora is not None and (lora.lora_int_id, lora.lora_path) not in self._confirmed:
            raise VLLMNotFoundError(f"The adapter `{lora.lora_name}` is not loaded.")


class VllmEngine:
    """An `Engine` that is vLLM."""

    def __init__(self, flags: list[str], names: tuple[str, ...], version: str) -> None:
        self._flags = flags
        self._names = names
        self._version = version
        self._client: EngineClient | None = None
        self._app: FastAPI | None = None
        self._health: asyncio.Task[None] | None = None
        self.models: tuple[ServedModel, ...] = ()
        self.capacity = 0
        self._last_lora = _FIRST_LORA
        self.has_adapters = False
        self.description = f"vllm {vllm.__version__} ({current_platform.device_name})"

    @property
    def app(self) -> ASGIApp:
        """The application of vLLM's own server; ready after `start`."""
        return cast("ASGIApp", self._app)

    async def start(self, on_fatal: Callable[[str], None]) -> None:
        """Load the model, generate a first token, and watch the engine from then on."""
        args = _parse(self._flags)
        client = self._client = _make_client(args)
        tasks = await client.get_supported_tasks()
        app = self._app = build_app(args, tasks, client.model_config)
        _strip(app)
        await init_app_state(client, app.state, args, tasks)
        self.has_adapters = client.vllm_config.lora_config is not None
        self.capacity = client.vllm_config.scheduler_config.max_num_seqs + _WAITING
        self.models = self._served(app, client.model_config.max_model_len, tasks)
        if "generate" in tasks:
            await _say_something(client)
        # vLLM reads its environment again for every token; from here on nothing of it changes.
        enable_envs_cache()
        self._health = asyncio.create_task(_report_death(client, on_fatal), name="engine-health")

    async def stop(self) -> None:
        """End the engine's processes."""
        if self._health is not None:
            self._health.cancel()
        if self._client is not None:
            await asyncio.to_thread(self._client.shutdown, _SHUTDOWN_S)

    @property
    def is_dead(self) -> bool:
        """Whether it can never answer again."""
        return self._client is not None and self._client.errored

    def open(self, request_id: str) -> Watch:
        """Follow the current task; the engine's own request ids differ, so the task's context ties them together."""
        del request_id
        watch = Watch(cast("EngineClient", self._client))
        current.set(watch)
        return watch

    async def add_adapter(self, reference: str, directory: Path) -> None:
        """Load an adapter under an id and a name of its own, and let the application route to it once it is loaded.

        Raises:
            ServiceError: `engine_error`: the engine does not take it.
        """
        client = cast("EngineClient", self._client)
        self._last_lora += 1
        lora = LoRARequest(lora_name=reference, lora_int_id=self._last_lora, lora_path=str(directory))
        try:
            added = await client.add_lora(lora)
        except Exception as error:
            # It may have come half way.
            await client.remove_lora(lora.lora_int_id)
            raise ServiceError("engine_error", f"The engine does not take {reference}: {error}") from error
        if not added:
            raise ServiceError("engine_error", f"The engine did not confirm {reference}.")
        self._adapters()[reference] = lora
        self.models += (msgspec.structs.replace(self.models[0], name=reference, version=reference, adapter=True),)

    async def remove_adapter(self, reference: str) -> None:
        """Take an adapter out of the application, then out of the engine."""
        lora = self._adapters().pop(reference, None)
        self.models = tuple(model for model in self.models if model.name != reference)
        if lora is not None:
            await cast("EngineClient", self._client).remove_lora(lora.lora_int_id)

    def _adapters(self) -> dict[str, LoRARequest]:
        """What the application knows by name."""
        return cast("dict[str, LoRARequest]", cast("FastAPI", self._app).state.openai_serving_models.lora_requests)

    def _served(self, app: FastAPI, length: int, tasks: tuple[str, ...]) -> tuple[ServedModel, ...]:
        routes = (
            *(_TEXT_ROUTES if "generate" in tasks else ()),
            *(_EMBEDDING_ROUTES if "embed" in tasks else ()),
            *_COMMON_ROUTES,
        )
        adapters = app.state.openai_serving_models.lora_requests
        return (
            *(
                ServedModel(name=name, version=self._version, max_model_len=length, routes=routes)
                for name in self._names
            ),
            *(ServedModel(name=name, adapter=True, max_model_len=length, routes=routes) for name in adapters),
        )


def _parse(flags: list[str]) -> Namespace:
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(flags)  # type: ignore[no-untyped-call] # vLLM's
    validate_parsed_serve_args(args)
    return cast("Namespace", args)


def _make_client(args: Namespace) -> EngineClient:
    """Start the engine's processes as vLLM's own server does; blocks for as long as the model loads."""
    engine_args = AsyncEngineArgs.from_cli_args(args)
    # The usage decides defaults such as the batch size in tokens.
    usage = UsageContext.OPENAI_API_SERVER
    client = EngineClient.from_vllm_config(
        engine_args.create_engine_config(usage_context=usage),
        usage_context=usage,
        enable_log_requests=engine_args.enable_log_requests,
        disable_log_stats=engine_args.disable_log_stats,
    )
    return cast("EngineClient", client)


def _strip(app: FastAPI) -> None:
    """Take out what only makes sense behind an HTTP socket: it would cost time on every chunk."""
    for_sockets = ("PrometheusInstrumentatorMiddleware", CORSMiddleware.__name__)
    app.user_middleware = [entry for entry in app.user_middleware if _name(entry.cls) not in for_sockets]
    # vLLM has built the stack already; changing the list alone changes nothing.
    app.middleware_stack = app.build_middleware_stack()
    # vLLM's error handlers tell their HTTP server to exit; here `_report_death` sees what they see.
    app.state.server = SimpleNamespace(should_exit=False)


def _name(middleware: object) -> str:
    return str(getattr(middleware, "__name__", ""))


async def _say_something(client: EngineClient) -> None:
    """One token, so that "ready" means that the engine has answered, and the first client does not warm it up."""
    params = SamplingParams(max_tokens=1, output_kind=RequestOutputKind.FINAL_ONLY)
    async for _ in client.generate(TokensPrompt(prompt_token_ids=[0]), params, "warm-up"):
        pass


async def _report_death(client: EngineClient, on_fatal: Callable[[str], None]) -> None:
    on_fatal(await client.dead())
