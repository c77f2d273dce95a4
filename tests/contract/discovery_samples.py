"""One sample of every message by which processes show themselves, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import discovery as d

INSTANCE: Final = d.InstanceState(
    id="f0123456789",
    version="0.1.0",
    pid=7,
    started_ms=8,
    ready=True,
    lacks=("database",),
    degraded=("registry",),
    depends=("nats", "database"),
    endpoints=(
        d.EndpointState(name="erase", requests=3, errors={"internal_error": 2}, last_error="internal_error", busy_ms=9),
    ),
)

DISCOVERY_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "PingAnswer": d.PingAnswer(name="feedback", id="f0123456789", version="0.1.0", metadata={"pid": "7"}),
    "InfoAnswer": d.InfoAnswer(
        name="feedback",
        id="f0123456789",
        version="0.1.0",
        description="llmos feedback",
        metadata={"lacks": "database"},
        endpoints=(
            d.EndpointInfo(
                name="erase", subject="ctl.feedback.api.erase", queue_group="feedback", metadata={"unit": "rows"}
            ),
        ),
    ),
    "StatsAnswer": d.StatsAnswer(
        name="feedback",
        id="f0123456789",
        version="0.1.0",
        started="2026-11-22T03:04:05.678Z",
        metadata={"lacks": "database"},
        endpoints=(
            d.EndpointStats(
                name="erase",
                subject="ctl.feedback.api.erase",
                queue_group="feedback",
                num_requests=3,
                num_errors=2,
                last_error="internal_error: broken",
                processing_time=9_000_000,
                average_processing_time=3_000_000,
                data={"errors": {"internal_error": 2}},
            ),
        ),
    ),
    "ServiceList": d.ServiceList(services=(d.ServiceState(name="feedback", instances=(INSTANCE,)),)),
}
