"""Logging: one event per line, JSON for machines, key=value for people; the standard library's loggers join in."""

import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from libs.kit.telemetry import tracing

_PASS_UP: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "nats", "faststream")
_TELLS_URLS: Final = ("httpx2", "httpcore2", "urllib3")
"""Log every request with its URL; those that the registry signs let whoever reads them read, too."""
_Logger: Final = type("Logger", (structlog.make_filtering_bound_logger(logging.INFO),), {})
"""Of every logger of this process; loggers are kept from their first use on, so they change with their class."""


def configure_logging(service: str, *, level: str = "INFO") -> None:
    """Send every log line of this process to stderr, marked with `service`; call once, at start.

    A terminal gets `key=value`, anything else JSON.
    """

    def name_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        name_trace,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=_Logger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render()],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_log_level(level)
    for name in _PASS_UP:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True
    for name in _TELLS_URLS:
        logging.getLogger(name).setLevel(logging.WARNING)


def set_log_level(level: str) -> None:
    """Have this process log what is as important as `level`, and nothing less, from the next line on."""
    logging.getLogger().setLevel(level)
    methods = structlog.make_filtering_bound_logger(logging.getLevelName(level))
    _Logger.__bases__ = (methods,)


def name_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A line of a recorded trace says which it is, so that either leads to the other."""
    span = tracing.current()
    if span is not None:
        event["trace_id"], event["span_id"] = span.trace_id, span.span_id
    return event


def _render() -> list[Any]:
    """The processors that turn an event into text."""
    if sys.stderr.isatty():
        key_value = structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)
        return [structlog.processors.format_exc_info, key_value]
    # Without local variables: they hold keys and people's words.
    frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(frames), structlog.processors.JSONRenderer()]
