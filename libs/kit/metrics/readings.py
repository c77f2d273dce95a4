"""Numbers that somebody else keeps, a database for example: looked up when Prometheus asks, and never before."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from libs.kit.errors import ServiceError
from libs.kit.metrics.measure import Kind, Measure
from libs.kit.metrics.parts import UNREAD

log = structlog.get_logger(__name__)

Rows = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, and the number."""
Read = Callable[[], Awaitable[Mapping[Measure, Rows]]]

_PATIENCE_S: Final = 5.0
"""What has not been found by then is left out, so that the page has the rest."""


class Readings(Collector):
    """Several numbers that one question answers; asked in the event loop, whichever thread wants the page."""

    def __init__(
        self,
        name: str,
        measures: tuple[Measure, ...],
        read: Read,
        loop: Callable[[], asyncio.AbstractEventLoop | None],
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Prepare; `loop` says where `read` belongs, None before it runs."""
        self._name = name
        self._measures = measures
        self._read = read
        self._loop = loop
        self._patience_s = patience_s

    def describe(self) -> Iterable[Metric]:
        """What there is to read, so that nothing is read to find out."""
        return [_family(measure) for measure in self._measures]

    def collect(self) -> Iterator[Metric]:
        """Read; nothing where that fails, which is counted."""
        loop = self._loop()
        if loop is None:
            return
        asked = asyncio.run_coroutine_threadsafe(self._found(), loop)
        try:
            found = asked.result(self._patience_s)
        except TimeoutError:
            asked.cancel()
            self._failed(f"no answer within {self._patience_s:g} s")
            return
        for measure, rows in found.items():
            family = _family(measure)
            for labels, value in rows:
                family.add_metric(labels, value)
            yield family

    async def _found(self) -> Mapping[Measure, Rows]:
        try:
            return await self._read()
        except ServiceError as error:
            self._failed(error.message)
        except Exception as error:  # noqa: BLE001 - it is logged and counted
            # A fault of ours; one number that cannot be had must not take the page from all others.
            log.error("numbers cannot be read", reading=self._name, reason=f"{type(error).__name__}: {error}"[:500])
            UNREAD.labels(self._name).inc()
        return {}

    def _failed(self, reason: str) -> None:
        UNREAD.labels(self._name).inc()
        log.debug("numbers cannot be read", reading=self._name, reason=reason)


def _family(measure: Measure) -> CounterMetricFamily | GaugeMetricFamily:
    return measure.counts() if measure.kind is Kind.COUNTER else measure.values()
